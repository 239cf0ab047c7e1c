"""One answer: its head, and its body as the bytes come."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Protocol

from gateway.backends.http1.errors import BodyTooLong, Closed, HTTP1Error

if TYPE_CHECKING:
    from gateway.backends.http1.connection import Connection


class Receiver(Protocol):
    """Who takes a body the moment it comes. Called by the event loop's reads: nothing here may raise or wait."""

    def chunks(self, data: bytes) -> bool:
        """Bytes as they came from the socket, at a place where a chunk's size line begins. True: they are whole chunks,
        none of them the last, and are taken. False: not taken, they come again as `body`."""

    def body(self, data: bytes) -> None:
        """The next bytes of the body, without framing."""

    def over(self) -> None:
        """Nothing more will come: the response is complete, or has an error. Called once."""


class Response:
    """An exchange under way. Whoever does not read it to the end calls `close`, which ends its connection at once;
    when the last byte has come the connection is already back in its pool, whether or not the body was taken.

    One that is dropped half read without `close` keeps its connection until the client is closed.

    Reads give first all that came, then the error if the end is not a clean one. One reader at a time.
    """

    __slots__ = (
        "_between_seconds", "_connection", "_first_byte_due", "_loop", "_pieces", "_receiver", "_total_due", "_waiter",
        "awaiting_first", "buffered_bytes", "complete", "error", "head_only", "headers", "status",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, first_byte_due: float, between_seconds: float, total_due: float,
        *, head_only: bool,
    ) -> None:  # fmt: skip
        """Made by `Client.send`. `..._due` on the loop's clock, in seconds."""
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        """As they came: order, case and repeats."""
        self.awaiting_first = True
        """The first-byte deadline holds. False after the first bytes of the body were taken; a caller to whom they
        were not yet an answer sets it back to True."""
        self.complete = False
        """The peer has sent everything, cleanly."""
        self.error: HTTP1Error | None = None
        self.buffered_bytes = 0
        self.head_only = head_only
        self._loop = loop
        self._connection: Connection | None = None
        self._pieces: list[bytes] = []
        self._receiver: Receiver | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._first_byte_due = first_byte_due
        self._between_seconds = between_seconds
        self._total_due = total_due

    def header(self, name: bytes) -> bytes | None:
        """The first header of that name, without spaces around it. `name` in lower case."""
        size = len(name)
        for key, value in self.headers:
            if len(key) == size and key.lower() == name:
                return value.strip(b" \t")
        return None

    async def chunk(self) -> bytes:
        """All bytes that are there, else the next ones; b"" at the end. Raises `HTTP1Error`."""
        while not self._pieces:
            if self.error is not None:
                raise self.error
            if self.complete:
                return b""
            await self.wait()
        return self._take()

    def __aiter__(self) -> Response:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self.error is not None:
                raise self.error
            if self.complete:
                raise StopAsyncIteration
            await self.wait()
        return self._take()

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body. A longer one raises `BodyTooLong` and closes the connection."""
        if not self.complete:
            told = self.header(b"content-length")
            if told is not None and told.isdigit() and int(told) > limit_bytes:
                raise self._too_long(limit_bytes)
        pieces: list[bytes] = []
        size = 0
        while True:
            if self._pieces:
                size += self.buffered_bytes
                if size > limit_bytes:
                    raise self._too_long(limit_bytes)
                pieces.append(self._take())
            elif self.error is not None:
                raise self.error
            elif self.complete:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
            else:
                await self.wait()

    def push(self, receiver: Receiver) -> None:
        """What is here and all that comes goes to `receiver` at once: no reader is woken for it, and nothing is kept.
        The deadlines hold on. In place of reading."""
        self._receiver = receiver
        if self._pieces:
            receiver.body(self._take())
        connection = self._connection
        if connection is None:
            self._over()
            return
        self.awaiting_first = False
        connection.push(receiver, self.push_due(self._loop.time()))

    def pause(self) -> None:
        """The receiver wants nothing for now. Until `resume` only the total deadline goes on."""
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        if self._connection is not None:
            self._connection.resume()

    def whole_by(self, due: float) -> None:
        """The total deadline is no later than `due` (the loop's clock)."""
        self._total_due = min(self._total_due, due)

    @property
    def total_due(self) -> float | None:
        """When the total deadline is over (the loop's clock), for a caller that waits for something else. None: there
        is none."""
        return None if self._total_due == inf else self._total_due

    def close(self) -> None:
        """Ends the connection unless the answer is whole. What was not taken is dropped. May be called again."""
        connection = self._connection
        if connection is not None:
            connection.fail(Closed("the response was closed before its end", sent=True))
        self._pieces.clear()
        self.buffered_bytes = 0

    async def __aenter__(self) -> Response:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def _take(self) -> bytes:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.buffered_bytes = 0
        self.awaiting_first = False
        if self._connection is not None:
            self._connection.taken()
        return data

    def _too_long(self, limit_bytes: int) -> BodyTooLong:
        self.close()
        return BodyTooLong(f"the body is longer than {limit_bytes} bytes", sent=True)

    # From here on: for the client and the connection.

    async def wait(self) -> None:
        """Until `wake`. Cancelled, it closes the connection: nobody knows how far the exchange is."""
        connection = self._connection
        assert connection is not None
        assert self._waiter is None, "two readers of one response"
        waiter = self._waiter = self._loop.create_future()
        if self.awaiting_first:
            due = self._first_byte_due
        elif self._between_seconds != inf:
            due = self._loop.time() + self._between_seconds
        else:
            due = inf
        connection.watch(due if due < self._total_due else self._total_due)
        try:
            await waiter
        except BaseException:
            self._waiter = None
            self.close()
            raise

    @property
    def waiting(self) -> bool:
        return self._waiter is not None

    def wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():  # done: its task was cancelled
                waiter.set_result(None)

    def attach(self, connection: Connection) -> None:
        self._connection = connection

    def feed(self, data: bytes) -> None:
        self._pieces.append(data)
        self.buffered_bytes += len(data)
        self.wake()

    def finish(self) -> None:
        """The last byte is here; the connection is not ours any more."""
        self.complete = True
        self._connection = None
        self.wake()
        self._over()

    def fail(self, error: HTTP1Error) -> None:
        self.error = error
        self._connection = None
        self.wake()
        self._over()

    def _over(self) -> None:
        receiver = self._receiver
        if receiver is not None:
            self._receiver = None
            receiver.over()

    def push_due(self, heard_at: float) -> float:
        return min(heard_at + self._between_seconds, self._total_due)

    def total_passed(self, now: float) -> bool:
        return now >= self._total_due
