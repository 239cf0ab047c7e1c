"""One TCP or TLS connection, one exchange at a time. httptools parses; the callbacks below put the pieces in place."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Sequence
from math import inf
from typing import Protocol, TypeAlias, cast

import httptools

from gateway.backends.http1.errors import (
    BetweenChunksTimeout,
    BodyCutShort,
    Disconnected,
    FirstByteTimeout,
    HeadTooLarge,
    HTTP1Error,
    ProtocolError,
    TotalTimeout,
)
from gateway.backends.http1.limits import Limits
from gateway.backends.http1.response import Receiver, Response

Piece: TypeAlias = bytes | memoryview

_ONE_WRITE_BYTES = 16 * 1024
"""Up to here head and body are joined, which is cheaper than two buffers and one TLS record; above, not copied."""
_TIMER_SLACK_SECONDS = 0.002
"""uvloop's timers count whole milliseconds."""


class Owner(Protocol):
    """The pool, as a connection sees it."""

    def free(self, connection: Connection) -> None:
        """Its exchange ended cleanly and it can carry another."""

    def lost(self, connection: Connection) -> None:
        """Its socket is closed."""


class _NotAnAnswer(Exception):
    """Raised inside a parser's callback to stop it; `error` is what the caller is told."""

    def __init__(self, error: ProtocolError) -> None:
        self.error = error


class Connection(asyncio.Protocol):
    """Made by the pool, given to the event loop. Reusable only after an answer that ended cleanly with nothing behind
    it and nothing left to send; in every other case it is closed."""

    __slots__ = (
        "_at_seam", "_chunk_ended", "_due", "_eof", "_headers", "_heard_at", "_interim", "_keep_alive", "_limits",
        "_loop", "_owner", "_parser", "_paused", "_poll", "_receiver", "_response", "_small_head_bytes",
        "_stale_parser", "_timer", "_timer_due", "_transport", "_unfruitful_bytes", "closed", "exchanges", "idle_since",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: Owner, limits: Limits, sock: socket.socket) -> None:
        self.closed = False
        self.exchanges = 0
        self.idle_since = 0.0
        self._loop = loop
        self._owner = owner
        self._limits = limits
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._stale_parser = False
        self._response: Response | None = None
        self._receiver: Receiver | None = None
        """Somebody takes the bytes the moment they come: nothing is buffered here."""
        self._heard_at = 0.0
        self._chunk_ended = False
        self._at_seam = False
        """All that came is whole chunks: the parser would next see the size of another."""
        self._headers: list[tuple[bytes, bytes]] = []
        self._interim = False
        self._keep_alive = False
        self._eof = False
        self._paused = False
        self._unfruitful_bytes = 0
        self._small_head_bytes = min(limits.head_bytes, limits.header_line_bytes)
        self._due = inf
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = inf
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)  # an end is readable too

    # For the pool and the client.

    def quiet(self) -> bool:
        """At rest: still open, and nothing to read that the loop has not seen yet. A peer that closed the connection,
        or sent what nobody asked for, makes it readable; asking the kernel now finds it before anything is sent."""
        return not self.closed and not self._poll.poll(0)

    def start(self, response: Response, head: bytes, body: bytes | Sequence[Piece]) -> None:
        """Sends the whole request: one write. A body in several pieces is not copied."""
        transport = self._transport
        assert transport is not None
        assert self._response is None
        self._response = response
        response.attach(self)
        self.exchanges += 1
        self._headers = []
        self._unfruitful_bytes = 0
        self._chunk_ended = self._at_seam = False
        if not isinstance(body, bytes):
            transport.writelines((head, *body))
        elif len(body) <= _ONE_WRITE_BYTES:
            transport.write(head + body)
        else:
            transport.writelines((head, body))

    def watch(self, due: float) -> None:
        """Somebody waits from now on, not beyond `due` (the loop's clock). One timer serves all waits of a connection:
        as long as it fires before the newest deadline, it is left alone and looks at that when it fires."""
        self._due = due
        if due < self._timer_due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_due = due
            self._timer = self._loop.call_at(due, self._look)

    def taken(self) -> None:
        """The consumer has emptied the buffer."""
        if self._paused:
            self._resume()

    def push(self, receiver: Receiver, due: float) -> None:
        """From now on what comes goes to `receiver`."""
        self._receiver = receiver
        self._heard_at = self._loop.time()
        self.watch(due)

    def pause(self) -> None:
        """No more bytes for now; silence does not count until `resume`."""
        self._pause()

    def resume(self) -> None:
        response = self._response
        if self._paused and response is not None:
            self._resume()
            self._heard_at = self._loop.time()
            self.watch(response.push_due(self._heard_at))

    def fail(self, error: HTTP1Error) -> None:
        """Ends the exchange, if there is one, and closes the socket at once."""
        response = self._response
        self._response = None
        self._receiver = None
        self.abort()
        if response is not None:
            response.fail(error)

    def abort(self) -> None:
        self.closed = True
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its bases
        if self.closed:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        receiver = self._receiver
        if receiver is not None:
            self._heard_at = self._loop.time()
            if self._at_seam and receiver.chunks(data):
                return  # whole chunks, so the parser stands where it stood
        response = self._response
        parser = self._parser
        if response is None or parser is None:
            self.abort()  # nobody asked for anything
            return
        self._unfruitful_bytes += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fail(ProtocolError("the peer switched to another protocol", sent=True))
            return
        except httptools.HttpParserError as error:
            self._garbage(response, error)
            return
        # After a whole chunk only the whole size line of the next one could end with CRLF, and that is called back.
        self._at_seam = self._chunk_ended and data.endswith(b"\r\n")
        if response.complete:
            self._end(reusable=self._keep_alive)
        elif response.buffered_bytes > self._limits.buffered_bytes:
            self._pause()
        elif self._unfruitful_bytes > self._limits.head_bytes:
            self.fail(HeadTooLarge(f"more than {self._limits.head_bytes} bytes of header lines", sent=True))

    def eof_received(self) -> None:
        self._eof = (
            True  # with TLS: close_notify came (asyncio's own loop calls this for a bare FIN too, uvloop does not)
        )
        self._broken(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._broken(exc)
        self._parser = None  # it refers back to this object
        self._owner.lost(self)

    # httptools: called within `feed_data`

    def on_message_begin(self) -> None:
        response = self._response
        if response is None or response.complete:
            raise _NotAnAnswer(ProtocolError("bytes behind the end of the answer", sent=True))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        if len(name) == 17 and name.lower() == b"transfer-encoding" and value.strip().lower() != b"chunked":
            # Another coding would be left in the bytes, and nobody told.
            raise _NotAnAnswer(ProtocolError("a Transfer-Encoding other than chunked", sent=True))

    def on_headers_complete(self) -> None:
        response, parser = self._response, self._parser
        assert response is not None
        assert parser is not None
        headers = self._headers
        self._headers = []  # what may still come are trailers: read and dropped
        if len(headers) > self._limits.header_count or self._unfruitful_bytes > self._small_head_bytes:
            self._check_size(headers)
        status = parser.get_status_code()
        if status < 200:
            if status < 100:
                raise _NotAnAnswer(ProtocolError(f"status {status}", sent=True))
            self._interim = True  # 101 raises HttpParserUpgrade
            return
        self._unfruitful_bytes = 0
        response.headers = headers
        response.status = status
        if response.head_only:
            # The parser waits for the body that the head announces: it cannot be used again.
            self._stale_parser = True
            self._keep_alive = parser.should_keep_alive()
            response.finish()
        else:
            response.wake()

    def on_body(self, body: bytes) -> None:
        response = self._response
        if response is None or response.complete or self._interim:
            raise _NotAnAnswer(ProtocolError("a body where there can be none", sent=True))
        self._unfruitful_bytes = 0
        receiver = self._receiver
        if receiver is None:
            response.feed(body)
        else:
            receiver.body(body)

    def on_chunk_header(self) -> None:
        self._chunk_ended = False

    def on_chunk_complete(self) -> None:
        self._chunk_ended = True

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
            return
        response, parser = self._response, self._parser
        assert response is not None
        assert parser is not None
        if not response.complete:
            self._keep_alive = parser.should_keep_alive()
            response.finish()

    # Ends

    def _end(self, *, reusable: bool) -> None:
        """The answer is whole and this connection is on its own again."""
        self._response = None
        self._receiver = None
        transport = self._transport
        # An answer that came before the whole request was sent: the rest would be read as another request.
        if not reusable or self.closed or transport is None or transport.get_write_buffer_size():
            self.abort()
            return
        if self._paused:
            self._resume()
        if self._stale_parser:
            self._stale_parser = False
            self._parser = httptools.HttpResponseParser(self)
        self._owner.free(self)

    def _garbage(self, response: Response, error: httptools.HttpParserError) -> None:
        if response.complete:
            self._end(reusable=False)
            return
        cause = error.__context__
        if isinstance(cause, _NotAnAnswer):
            self.fail(cause.error)
        elif response.status:
            self.fail(ProtocolError(f"a body that is not framed as HTTP/1.1 asks ({error})", sent=True))
        else:
            self.fail(ProtocolError(f"not an HTTP/1.1 answer ({error})", sent=True))

    def _broken(self, exc: Exception | None) -> None:
        """No more bytes will come."""
        response = self._response
        if response is None:
            self.abort()
            return
        how = "reset" if exc is not None else "closed"
        if not response.status:
            received = self._unfruitful_bytes > 0
            what = "in the middle of the answer's head" if received else "without an answer"
            self.fail(
                Disconnected(f"the peer {how} the connection {what}", reused=self.exchanges > 1, received=received)
            )
        elif exc is None and self._eof and _ends_with_the_connection(response):
            response.finish()
            self._end(reusable=False)
        else:
            self.fail(BodyCutShort(f"the peer {how} the connection in the middle of the body", sent=True))

    def _look(self) -> None:
        self._timer = None
        self._timer_due = inf
        response = self._response
        if response is None:
            return
        now = self._loop.time()
        if self._receiver is not None:
            self._due = response.push_due(now if self._paused else self._heard_at)
        elif not response.waiting:
            return
        if self._due - now > _TIMER_SLACK_SECONDS:
            self.watch(self._due)
        else:
            self.fail(_timeout(response, now))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._timer_due = inf

    def _pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _check_size(self, headers: list[tuple[bytes, bytes]]) -> None:
        limits = self._limits
        sizes = [len(name) + len(value) + 4 for name, value in headers]
        if len(sizes) > limits.header_count:
            raise _NotAnAnswer(HeadTooLarge(f"more than {limits.header_count} header lines", sent=True))
        if max(sizes, default=0) > limits.header_line_bytes:
            raise _NotAnAnswer(HeadTooLarge(f"a header line of more than {limits.header_line_bytes} bytes", sent=True))
        if sum(sizes) > limits.head_bytes:
            raise _NotAnAnswer(HeadTooLarge(f"more than {limits.head_bytes} bytes of header lines", sent=True))


def _timeout(response: Response, now: float) -> HTTP1Error:
    if response.total_passed(now + _TIMER_SLACK_SECONDS):
        return TotalTimeout("the answer was not whole within its total time", sent=True)
    if response.awaiting_first:
        return FirstByteTimeout("no first byte within its deadline", sent=True)
    return BetweenChunksTimeout("silence in the middle of the body", sent=True)


def _ends_with_the_connection(response: Response) -> bool:
    """The body has no framing of its own (RFC 9112, 6.3): the end of the connection is its end."""
    return response.header(b"content-length") is None and response.header(b"transfer-encoding") is None
