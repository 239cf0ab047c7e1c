"""What goes wrong below a backend's answer, in the gateway's own terms."""

from __future__ import annotations

import msgspec

from gateway.backends.errors import UpstreamError, garbage, timed_out, too_slow, unreachable
from gateway.backends.http1 import Response
from gateway.backends.http1 import errors as http1

MAX_ERROR_BODY_BYTES = 64 * 1024


class Patience(msgspec.Struct, frozen=True):
    """How long one call may take, in seconds from its start (but for the silence within a stream)."""

    first_byte_seconds: float
    """For a whole answer, and for a refusal's body: until its end."""
    stall_seconds: float
    total_seconds: float


async def refusal_body(response: Response) -> bytes:
    """The body of an answer that is a refusal, whose status says whose fault it is: a long one (some servers repeat
    the prompt in it) is left out. Raises `HTTP1Error`."""
    try:
        return await response.read(MAX_ERROR_BODY_BYTES)
    except http1.BodyTooLong:
        return b""


def worded(backend: str, error: http1.HTTP1Error, patience: Patience, *, begun: bool = False) -> UpstreamError:
    """A failure below or of HTTP in the gateway's own terms. Names no host: the client is told this. `begun`: a
    stream's first bytes have come. Its traceback is dropped: those frames hold the request and what came of the answer,
    and the error itself, in a circle."""
    error.__traceback__ = None
    total = patience.total_seconds if begun else min(patience.first_byte_seconds, patience.total_seconds)
    if isinstance(error, http1.FirstByteTimeout | http1.PoolTimeout) and total == patience.first_byte_seconds:
        return timed_out(backend, "the first byte", round(total, 3))
    if isinstance(error, http1.BetweenChunksTimeout):
        return timed_out(backend, "the next bytes", patience.stall_seconds)
    if isinstance(error, http1.TotalTimeout | http1.FirstByteTimeout | http1.PoolTimeout):
        return too_slow(backend, round(total, 3))
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
