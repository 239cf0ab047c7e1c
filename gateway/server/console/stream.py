"""One state of the gateway a second, made once and sent to every console that listens; nothing is made when none does.

A listener gets whole states, not changes: one that is slow skips some, and one that takes nothing for `STALL_SECONDS`
is let go. The stream ends when the gateway is shutting down, and a listener's own part when its session ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.server.http1.asgi import ABORT

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
LOOK_SECONDS = 0.2
"""How often it is looked whether the gateway is shutting down: an open page must not hold that up."""
STALL_SECONDS = 10.0
MOST_LISTENERS = 32
HEARTBEAT = b": nothing new\n\n"
SHUTTING_DOWN = b"event: end\ndata: shutdown\n\n"
SESSION_OVER = b"event: end\ndata: session\n\n"


class Listener:
    """One open page. Holds the newest frame that it has not sent yet."""

    def __init__(self, alive: Callable[[], bool]) -> None:
        self.alive = alive
        self._frame: bytes | None = None
        self._ended = False
        self._news = asyncio.Event()

    def offer(self, frame: bytes) -> None:
        """Takes the place of a frame that has not been sent."""
        if not self._ended:
            self._frame = frame
            self._news.set()

    def end(self, last: bytes | None = None) -> None:
        """Nothing more comes after `last`."""
        if not self._ended:
            self._frame, self._ended = last, True
            self._news.set()

    async def next(self) -> bytes | None:
        """The newest frame, waiting for one; None: that was the last."""
        while True:
            frame, self._frame = self._frame, None
            if frame is not None:
                return frame
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()


class Stream:
    """`make`: the state as JSON, called on the event loop, at most once a tick. `ending`: the gateway is shutting
    down."""

    def __init__(
        self, make: Callable[[], bytes], ending: Callable[[], bool], *, most: int = MOST_LISTENERS,
        tick_seconds: float = TICK_SECONDS,
    ) -> None:  # fmt: skip
        self._make = make
        self._ending = ending
        self._most = most
        self._tick_seconds = tick_seconds
        self._listeners: set[Listener] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._newest: tuple[float, bytes] | None = None
        self._failing = False

    def __len__(self) -> int:
        return len(self._listeners)

    @property
    def full(self) -> bool:
        return len(self._listeners) >= self._most

    def join(self, listener: Listener) -> None:
        """It has a state at once, and one every tick from now on."""
        self._listeners.add(listener)
        listener.offer(self._frame())
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick(), name="console stream")

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners and self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._tick_seconds
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, max(0.0, due - loop.time())))
            if self._ending():
                for listener in self._listeners:
                    listener.end(SHUTTING_DOWN)
                return
            if loop.time() < due:
                continue
            due = max(due + self._tick_seconds, loop.time())
            frame = self._frame()
            for listener in self._listeners:
                if listener.alive():
                    listener.offer(frame)
                else:
                    listener.end(SESSION_OVER)

    def _frame(self) -> bytes:
        """The state as an event, not made twice within half a tick; a comment where it cannot be made."""
        now = asyncio.get_running_loop().time()
        if self._newest is not None and now - self._newest[0] < self._tick_seconds / 2:
            return self._newest[1]
        try:
            frame = b"event: state\ndata: " + self._make() + b"\n\n"
        except Exception:
            if not self._failing:
                log.exception("the console's figures could not be made; they are tried again each second")
            frame, self._failing = HEARTBEAT, True
        else:
            self._failing = False
        self._newest = now, frame
        return frame


class EventStream(Response):
    """The answer to one listener: lasts until it goes, stalls, or is ended."""

    def __init__(self, stream: Stream, alive: Callable[[], bool], headers: dict[str, str]) -> None:
        self._stream = stream
        self._alive = alive
        super().__init__(None, 200, {**headers, "x-accel-buffering": "no"}, "text/event-stream")
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        listener = Listener(self._alive)
        self._stream.join(listener)
        gone = asyncio.create_task(_until_gone(receive))
        gone.add_done_callback(lambda _: listener.end())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while (frame := await listener.next()) is not None:
                async with asyncio.timeout(STALL_SECONDS):
                    await send({"type": "http.response.body", "body": frame, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:  # it takes nothing: a connection that is closed would wait until it does
            end = scope.get("extensions", {}).get(ABORT)
            if end is not None:
                end["end"]()
                await asyncio.wait((gone,), timeout=1.0)
        finally:
            gone.cancel()
            self._stream.leave(listener)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
