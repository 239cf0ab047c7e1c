"""Reading a backend's HTTP answer: each wait bounded, each failure in the gateway's own terms."""

from __future__ import annotations

import asyncio
import os

import aiohttp

from gateway.backends.errors import UpstreamError, garbage, timed_out, too_slow, unreachable
from gateway.backends.http1 import errors as http1

MAX_ERROR_BODY_BYTES = 64 * 1024


def worded(
    backend: str, error: http1.HTTP1Error, first_byte_seconds: float, stall_seconds: float, total_seconds: float
) -> UpstreamError:
    """A failure below or of HTTP in the gateway's own terms. Names no host: the client is told this. The seconds are
    what was waited at most; a total below the first byte's is what ended the wait for it."""
    if isinstance(error, http1.FirstByteTimeout | http1.PoolTimeout):
        if total_seconds < first_byte_seconds:
            return too_slow(backend, total_seconds)
        return timed_out(backend, "the first byte", first_byte_seconds)
    if isinstance(error, http1.BetweenChunksTimeout):
        return timed_out(backend, "the next bytes", stall_seconds)
    if isinstance(error, http1.TotalTimeout):
        return too_slow(backend, total_seconds)
    if isinstance(error, http1.ProtocolError | http1.BodyTooLong):
        return garbage(backend, str(error))
    if isinstance(error, http1.ConnectTimeout):
        return unreachable(backend, "no connection within timeouts.connect_seconds")
    if isinstance(error, http1.NameNotResolved):
        return unreachable(backend, "its name cannot be resolved")
    if isinstance(error, http1.Disconnected) and not error.received:
        return unreachable(backend, "it closed the connection without an answer")
    if isinstance(error, http1.BodyCutShort | http1.Disconnected):
        return unreachable(backend, "its answer broke off before the end")
    return unreachable(backend, str(error))


def broken(backend: str, error: aiohttp.ClientError) -> UpstreamError:
    """A failure below HTTP. Names no host: the client is told this."""
    if isinstance(error, aiohttp.ClientPayloadError):
        return unreachable(backend, "its answer broke off before the end")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return unreachable(backend, "its name cannot be resolved")
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        return unreachable(backend, os.strerror(error.os_error.errno))  # its own text may hold the address
    if isinstance(error, aiohttp.ServerTimeoutError):
        return unreachable(backend, "no connection within timeouts.connect_seconds")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return unreachable(backend, "it closed the connection without an answer")
    if isinstance(error, aiohttp.ClientResponseError):
        return garbage(backend, "not HTTP")
    return unreachable(backend, type(error).__name__)


class Body:
    """The bytes of one answer as they come. Whoever leaves it unfinished calls `close`, which ends the connection.

    Silence is not limited until `watch` is called: up to the first byte the caller's own deadline holds. One timer
    watches a whole stream, since one timer a read would cost more than decoding an event.
    """

    __slots__ = ("_backend", "_response", "_silent_since", "_stall_seconds", "_stalled", "_timer")

    def __init__(self, backend: str, response: aiohttp.ClientResponse) -> None:
        self._backend = backend
        self._response = response
        self._stall_seconds = 0.0
        self._stalled = False
        self._silent_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def read(self) -> bytes:
        """The next bytes; b"" at the end. Raises `UpstreamError` after too long a silence, or a broken end."""
        if self._timer is not None:
            self._silent_since = asyncio.get_running_loop().time()
        try:
            data = await self._response.content.readany()
        except aiohttp.ClientError as error:
            self.close()
            if self._stalled:
                raise timed_out(self._backend, "the next bytes", self._stall_seconds) from None
            raise broken(self._backend, error) from None
        except BaseException:
            self.close()
            raise
        self._silent_since = None
        if not data:
            self._unwatch()
        return data

    def watch(self, stall_seconds: float) -> None:
        """From now on a read that brings nothing for `stall_seconds` fails. Time between reads does not count."""
        self._stall_seconds = stall_seconds
        self._timer = asyncio.get_running_loop().call_later(stall_seconds, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        silent_seconds = 0.0 if self._silent_since is None else loop.time() - self._silent_since
        if silent_seconds < self._stall_seconds:
            self._timer = loop.call_later(self._stall_seconds - silent_seconds, self._look)
            return
        self._stalled = True
        self.close()

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def read_all(self, limit_bytes: int) -> bytes:
        """The whole body. Raises `UpstreamError` for one longer than the limit."""
        pieces: list[bytes] = []
        size = 0
        while data := await self.read():
            size += len(data)
            if size > limit_bytes:
                self.close()
                raise garbage(self._backend, f"a body longer than {limit_bytes} bytes")
            pieces.append(data)
        return b"".join(pieces)

    def close(self) -> None:
        self._unwatch()
        self._response.close()
