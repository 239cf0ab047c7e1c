"""One client's connection: bytes in, exchanges out, one at a time and in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol, cast

import httptools

from gateway.server.errors import error_body
from gateway.server.http1.exchange import Exchange
from gateway.server.http1.limits import Limits

_CONTENT_LENGTH = b"content-length"
_EXPECT = b"expect"
_FRAMING = frozenset({_CONTENT_LENGTH, b"transfer-encoding"})


class Owner(Protocol):
    """The server, as a connection sees it."""

    limits: Limits
    ending: bool

    def run(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]: ...
    def ran(self, task: asyncio.Task[None]) -> None: ...
    def opened(self, connection: Connection) -> None: ...
    def resting(self, connection: Connection) -> None: ...
    def busy(self, connection: Connection) -> None: ...
    def stalled(self, connection: Connection, stalled: bool) -> None: ...
    def lost(self, connection: Connection) -> None: ...


class _Refused(Exception):
    """Raised in a parser's callback: the request is answered with an error and the connection closed."""

    def __init__(self, status: int, message: str, code: str) -> None:
        self.status = status
        self.message = message
        self.code = code


class Connection(asyncio.Protocol):
    """Made by the event loop for each client."""

    __slots__ = (
        "_current", "_expects", "_head_bytes", "_headers", "_left", "_length", "_limits", "_lingering", "_loop",
        "_owner", "_parser", "_reading", "_refusal", "_target", "_transport", "_upgrade_offered", "_waiting", "closed",
        "full", "peer",
    )  # fmt: skip

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self.closed = False
        self.full = False
        """More was written than the client has taken, by more than the limit."""
        self.peer: tuple[str, int] | None = None
        self._owner = owner
        self._limits = owner.limits
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._current: Exchange | None = None
        """Being answered."""
        self._waiting: deque[Exchange] = deque()
        """Pipelined behind it."""
        self._reading: Exchange | None = None
        """Its body still comes."""
        self._headers: list[tuple[bytes, bytes]] = []
        self._target = b""
        self._length = -1
        self._expects = False
        self._left = 0
        """Bytes that the client had not taken when `takes` was last asked."""
        self._head_bytes = 0
        """Of the head that comes, or since the last byte of a body came: of chunk extensions and trailers."""
        self._upgrade_offered = False
        """The head just read offers another protocol: the parser stops behind it."""
        self._lingering = False
        self._refusal: _Refused | None = None
        """What came behind the exchanges above is no request: said when they are answered."""

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its bases
        self._transport.set_write_buffer_limits(self._limits.buffered_bytes)
        address = transport.get_extra_info("peername")
        if isinstance(address, tuple) and len(address) >= 2:
            self.peer = (str(address[0]), int(address[1]))
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None or self._lingering:
            return
        reading, before = self._reading, 0 if self._reading is None else self._reading.size
        if reading is None:
            self._head_bytes += len(data)
        try:
            self._parse(parser, data)
        except httptools.HttpParserError as error:
            self._refuse(error)
        if reading is not None and self._reading is reading:
            self._head_bytes = self._head_bytes + len(data) if reading.size == before else 0
        if self._head_bytes > self._limits.head_bytes and self._parser is not None:
            self._refuse_with(self._too_long_a_head())
        if self._waiting:
            if self._current is None and not self.full:
                self._start(self._waiting.popleft())
            if self._waiting and self._transport is not None:
                self._transport.pause_reading()  # further requests can wait in the kernel

    def eof_received(self) -> None:
        """The client closed its side: the transport closes, and `connection_lost` ends what is under way."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.closed = True
        self._parser = None  # it refers back to this object
        self._reading = None
        current, self._current = self._current, None
        if current is not None:
            current.left()
        self._waiting.clear()
        self._owner.lost(self)

    def pause_writing(self) -> None:
        self.full = True
        self.takes()
        self._owner.stalled(self, True)
        if self._current is not None:
            self._current.paused()

    def resume_writing(self) -> None:
        self.full = False
        if self._transport is not None and not self._transport.is_closing():
            self._owner.stalled(self, False)
        if self._current is not None:
            self._current.resumed()
        else:
            self._next()

    # Reading

    def _parse(self, parser: httptools.HttpRequestParser, data: bytes) -> None:
        rest: bytes | memoryview = data
        while True:
            try:
                parser.feed_data(rest)
            except httptools.HttpParserUpgrade as error:
                rest = memoryview(rest)[error.args[0] :]
                parser = self._without_upgrade()
            else:
                return

    def _without_upgrade(self) -> httptools.HttpRequestParser:
        """The client offers another protocol, as Java's HttpClient does: it is answered in this one. The parser has
        stopped before the body, whose length this side knows as any other does: read as a request it would be one
        that somebody smuggled past a proxy. A parser that was told of the framing alone reads it, and what follows."""
        parser = self._parser = httptools.HttpRequestParser(self)
        headers = [] if self._reading is None else self._reading.headers
        framing = b"".join([b"%b: %b\r\n" % header for header in headers if header[0] in _FRAMING])
        parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % framing)
        return parser

    # httptools: called within `feed_data`

    def on_message_begin(self) -> None:
        self._headers = []
        self._target = b""
        self._length = -1
        self._expects = False

    def on_url(self, url: bytes) -> None:
        self._target = self._target + url if self._target else url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._headers.append((name, value))
        if name == _CONTENT_LENGTH:
            self._length = int(value) if value.isdigit() else -1
        elif name == _EXPECT:
            self._expects = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        limits, parser, headers = self._limits, self._parser, self._headers
        assert parser is not None
        if self._upgrade_offered:  # the head that stands in for the one before: `_without_upgrade`
            self._upgrade_offered = False
            self._headers = []
            return
        if self._head_bytes > limits.head_bytes and _size(self._target, headers) > limits.head_bytes:
            raise self._too_long_a_head()
        if len(headers) > limits.header_count:
            raise _Refused(431, f"The request has more than {limits.header_count} headers.", "headers_too_large")
        target = self._target
        if not target.startswith(b"/"):
            target = _path_of(target)
        path, _, query = target.partition(b"?")
        modern = parser.get_http_version() == "1.1"
        exchange = Exchange(
            self, parser.get_method(), path, query, headers, modern=modern,
            keep_alive=modern and parser.should_keep_alive(),  # of HTTP/1.0 none: it would have to be told
            expects=self._expects and modern, limit=limits.body_bytes,
        )  # fmt: skip
        if self._length > 0:
            exchange.announce(self._length)
        self._upgrade_offered = parser.should_upgrade()
        self._headers = []  # what may still come are trailers: read and dropped
        self._head_bytes = 0
        self._reading = exchange
        self._waiting.append(exchange)

    def on_body(self, body: bytes) -> None:
        if self._reading is not None:
            self._reading.feed(body)

    def on_message_complete(self) -> None:
        if self._upgrade_offered:
            return  # so says a parser that takes the body for the other protocol
        reading, self._reading = self._reading, None
        self._head_bytes = 0
        if reading is not None:
            reading.body_complete = True
            reading.wake()

    # For the exchange

    @property
    def ending(self) -> bool:
        """No further request is taken: an answer says so."""
        return self._owner.ending

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self.closed:
            self._transport.write(data)

    def write_all(self, pieces: tuple[bytes, ...]) -> None:
        if self._transport is not None and not self.closed:
            self._transport.writelines(pieces)

    def answered(self, exchange: Exchange, *, keep_alive: bool) -> None:
        """The answer of `exchange` is written: the next one, or rest."""
        if exchange is not self._current:
            return
        self._current = None
        if not keep_alive or self._owner.ending or self._transport is None or self._transport.is_closing():
            self._close()
        elif self._waiting or self._refusal is not None:
            # Not from here: the one that just ended is still on the stack.
            self._loop.call_soon(self._next)
        else:
            self._owner.resting(self)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # For the server

    def end_if_idle(self) -> None:
        """The server ends: a connection on which nothing is under way closes now, another after its answer."""
        if self._current is None:
            self._close()

    def takes(self) -> bool:
        """The client has taken some of what was written since this was last asked."""
        before, self._left = self._left, 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._left < before

    # Turns

    def _next(self) -> None:
        """What waits is answered: one after the other, and not to a client that takes no answers."""
        if self._current is not None or self.full or self.closed:
            return
        if self._waiting:
            self._start(self._waiting.popleft())
        else:
            self._say_refusal()
        if not self._waiting and self._transport is not None:
            self._transport.resume_reading()

    def _start(self, exchange: Exchange) -> None:
        self._owner.busy(self)
        self._current = exchange
        exchange.task = self._owner.run(exchange, self._loop)
        exchange.task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        """The handler is done: an answer that it did not end is cut off."""
        self._owner.ran(task)
        current = self._current
        if current is not None and current.task is task:
            self.abort()

    def _close(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing() or self._lingering:
            return
        unread = bool(self._waiting) or self._reading is not None or self._parser is None
        self._waiting.clear()
        self._refusal = None
        if not unread:
            self.takes()
            self._owner.stalled(self, True)  # if the client never takes what is left
            transport.close()
            return
        self._lingering = True
        transport.resume_reading()
        if transport.can_write_eof():
            transport.write_eof()
        self._loop.call_later(self._limits.linger_seconds, transport.abort)

    # Refusals below HTTP

    def _too_long_a_head(self) -> _Refused:
        most = self._limits.head_bytes
        return _Refused(431, f"The request's headers are longer than {most} bytes.", "headers_too_large")

    def _refuse(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(cause, _Refused):
            self._refuse_with(cause)
        else:
            self._refuse_with(_Refused(400, f"The request is not HTTP/1.1: {error}.", "invalid_http"))

    def _refuse_with(self, refused: _Refused) -> None:
        """Said in its turn: after the answers to what came before it."""
        reading, self._reading = self._reading, None
        self._parser = None
        if reading is not None:
            reading.spoil(refused.message)  # its handler says so
            return
        self._refusal = refused
        if self._current is None and not self._waiting:
            self._say_refusal()

    def _say_refusal(self) -> None:
        refused, self._refusal = self._refusal, None
        if refused is None:
            return
        exchange = Exchange(self, b"GET", b"", b"", [], modern=True, keep_alive=False, expects=False, limit=0)
        self._owner.busy(self)
        self._current = exchange
        body = error_body(refused.message, "invalid_request_error", refused.code, None)
        exchange.respond(refused.status, ((b"content-type", b"application/json"),), body)


def _size(target: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers)


def _path_of(target: bytes) -> bytes:
    """Of a request for an absolute URL, as a proxy would be sent: its path and query. Anything else stays."""
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return target
    path: bytes = url.path or b"/"
    return path if url.query is None else path + b"?" + url.query
