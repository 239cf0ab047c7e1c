"""One request and its answer, on a client's connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from gateway.server.http1.heads import Headers, answer_head

if TYPE_CHECKING:
    from gateway.backends.contract import Flow

_CLOSE = b"connection: close\r\n"
_CHUNKED = b"transfer-encoding: chunked\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_ONE_WRITE_BYTES = 16 * 1024
"""Up to here pieces are joined before they are written; above, not copied."""


class Line(Protocol):
    """The client's connection, as an exchange on it sees it."""

    @property
    def peer(self) -> tuple[str, int] | None: ...

    @property
    def full(self) -> bool:
        """More was written than the client has taken, by more than the limit."""

    @property
    def ending(self) -> bool:
        """No further request is taken: an answer says so."""

    def write(self, data: bytes) -> None: ...

    def write_all(self, pieces: tuple[bytes, ...]) -> None: ...

    def answered(self, exchange: Exchange, *, keep_alive: bool) -> None:
        """The whole answer is written."""

    def abort(self) -> None:
        """Ends it at once, whatever was written."""


class ClientGone(Exception):
    """The client closed its connection."""


class BodyTooLarge(Exception):
    """`size` bytes or more, against `limit`."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"{size} bytes or more; the limit is {limit}")
        self.size = size
        self.limit = limit


class BodyTimeout(Exception):
    """The whole body did not come in time."""


class BodyBroken(Exception):
    """Its chunks are not HTTP/1.1's. The message says how."""


class Exchange:
    """`respond` answers at once; or `begin`, `write` as often as there is something, and `end`. As a
    `gateway.backends.contract.Sink` it never waits: who writes much looks at `full` and awaits `drained`.

    A client that closes its side is taken to have left, as nginx and Go's server take it: the two cannot be told apart
    before something is written, and what would be generated for nobody costs."""

    __slots__ = (
        "_broken", "_chunked", "_connection", "_drain", "_expects", "_flow", "_head", "_keep_alive", "_limit",
        "_modern", "_parts", "_waiter", "body_complete", "cancelled_by_leaving", "ended", "gone", "headers",
        "method", "path", "query", "size", "started", "task",
    )  # fmt: skip

    def __init__(
        self, connection: Line, method: bytes, path: bytes, query: bytes,
        headers: list[tuple[bytes, bytes]], *, modern: bool, keep_alive: bool, expects: bool, limit: int,
    ) -> None:  # fmt: skip
        self.method = method
        self.path = path
        """As it came: percent-encoded."""
        self.query = query
        self.headers = headers
        """Names in lower case."""
        self.body_complete = False
        self.started = False
        """A part of the answer was given to the connection."""
        self.ended = False
        self.gone = False
        """The client has left."""
        self.task: asyncio.Task[None] | None = None
        """The handler's."""
        self.cancelled_by_leaving = True
        """The handler's task is cancelled when the client leaves."""
        self._connection = connection
        self._modern = modern
        self._keep_alive = keep_alive
        self._expects = expects
        self._limit = limit
        self._parts: list[bytes] = []
        self.size = 0
        """Bytes of the body that have come, or that one too large is said to have."""
        self._broken: str | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._drain: asyncio.Future[None] | None = None
        self._flow: Flow | None = None
        self._head = b""
        self._chunked = False

    @property
    def peer(self) -> tuple[str, int] | None:
        """The other end's address and port."""
        return self._connection.peer

    # The request's body

    async def body(self, seconds: float) -> bytes:
        """All of it. Raises `BodyTooLarge`, `BodyTimeout`, `BodyBroken` or `ClientGone`."""
        if not self.body_complete:
            try:
                async with asyncio.timeout(seconds):
                    while not self.body_complete:
                        await self.more()
            except TimeoutError:
                raise BodyTimeout from None
        if self.size > self._limit:
            raise BodyTooLarge(self.size, self._limit)
        return self.take()

    async def more(self) -> None:
        """Until more of the body is there, or all of it. Raises `BodyTooLarge`, `BodyBroken` or `ClientGone`."""
        if self._broken is not None:
            raise BodyBroken(self._broken)
        if self.size > self._limit:
            raise BodyTooLarge(self.size, self._limit)
        if self.gone:
            raise ClientGone
        if self._expects:
            self._expects = False
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def take(self) -> bytes:
        """What has come of the body since the last call."""
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def announce(self, size: int) -> None:
        """What Content-Length says. One that is too large is not waited for."""
        if size > self._limit:
            self.size = size

    def feed(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._limit:
            self._parts.clear()
        else:
            self._parts.append(data)
        self.wake()

    def spoil(self, how: str) -> None:
        """The rest of the body cannot be read."""
        self._broken = how
        self.wake()

    def wake(self) -> None:
        """The body has grown or is whole, or the client has left."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # The answer

    def respond(self, status: int, headers: Headers, body: bytes, *, close: bool = False) -> None:
        """The whole answer. `headers` say nothing of its length. `close`: no further request on this connection."""
        if self.gone or self.ended:
            return
        if close or not self.body_complete or self._connection.ending:
            self._keep_alive = False
        self.started = True
        framing = b"content-length: %d\r\n" % len(body)
        head = answer_head(status, headers, framing if self._keep_alive else framing + _CLOSE)
        if self.method == b"HEAD":
            body = b""
        if len(body) <= _ONE_WRITE_BYTES:
            self._connection.write(b"%b\r\n%b" % (head, body))
        else:
            self._connection.write_all((head + b"\r\n", body))
        self._finish()

    def begin(self, status: int, headers: Headers, *, framed_by_headers: bool = False) -> None:
        """The head goes out with the first bytes. `framed_by_headers`: they hold a Content-Length, or the status allows
        no body."""
        self.started = True
        if not self.body_complete or self._connection.ending:
            self._keep_alive = False
        if framed_by_headers:
            framing = b"" if self._keep_alive else _CLOSE
        elif self._modern:
            self._chunked = self.method != b"HEAD"
            framing = _CHUNKED if self._keep_alive else _CHUNKED + _CLOSE
        else:
            self._keep_alive = False  # HTTP/1.0: the connection's end is the answer's
            framing = _CLOSE
        self._head = answer_head(status, headers, framing) + b"\r\n"

    def write(self, data: bytes, framed: bool = False) -> None:
        """`framed`: whole chunks as they go out; only where `takes_chunks`."""
        if self.gone or self.ended or not data or self.method == b"HEAD":
            return
        head = self._head
        if self._chunked and not framed:
            if len(data) <= _ONE_WRITE_BYTES:
                data = b"%b%x\r\n%b\r\n" % (head, len(data), data)
            else:
                self._head = b""
                self._connection.write_all((b"%b%x\r\n" % (head, len(data)), data, b"\r\n"))
                return
        elif head:
            data = head + data
        if head:
            self._head = b""
        self._connection.write(data)

    def end(self) -> None:
        if self.gone or self.ended:
            return
        if self._chunked:
            self._connection.write(self._head + _LAST_CHUNK)
        elif self._head:
            self._connection.write(self._head)
        self._head = b""
        if not self.body_complete:
            self._keep_alive = False
        self._finish()

    def abort(self) -> None:
        """Ends the connection at once, whatever was written. For an answer that cannot be ended properly."""
        self._connection.abort()

    def _finish(self) -> None:
        self.ended = True
        self._flow = None
        self.wake()
        self._connection.answered(self, keep_alive=self._keep_alive)

    # The answer's speed

    @property
    def takes_chunks(self) -> bool:
        return self._chunked

    @property
    def full(self) -> bool:
        return self._connection.full

    async def drained(self) -> None:
        """Until the client has taken enough, or has left (which cancels the handler's task)."""
        while self._connection.full and not self.gone:
            self._drain = asyncio.get_running_loop().create_future()
            await self._drain

    def steered(self, flow: Flow | None) -> None:
        self._flow = flow
        if flow is not None and self._connection.full:
            flow.pause()

    def paused(self) -> None:
        """The connection is full."""
        if self._flow is not None:
            self._flow.pause()

    def resumed(self) -> None:
        drain, self._drain = self._drain, None
        if drain is not None and not drain.done():
            drain.set_result(None)
        if self._flow is not None:
            self._flow.resume()

    async def left_or_answered(self) -> None:
        """Until the client has left. (Its answer's end ends the wait too.)"""
        while not self.gone and not self.ended:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def left(self) -> None:
        """The client has gone: whoever waits is woken, and the handler ends."""
        self.gone = True
        self._flow = None
        self.wake()
        drain, self._drain = self._drain, None
        if drain is not None and not drain.done():
            drain.set_result(None)
        if self.task is not None and self.cancelled_by_leaving and not self.ended:
            self.task.cancel()
