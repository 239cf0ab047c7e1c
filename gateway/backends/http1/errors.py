"""Why an exchange did not succeed: one class a cause. No message holds a host, a header or a body."""

from __future__ import annotations


class HTTP1Error(Exception):
    """Base of all. `sent`: a byte of the request may have reached the peer, so it may have been served, and billed."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class InvalidRequest(ValueError):
    """The caller's request cannot go out as it is (line breaks, a framing header, ...). Nothing was sent."""


class ConnectFailed(HTTP1Error):
    """No connection was made."""

    def __init__(self, message: str) -> None:
        super().__init__(message, sent=False)


class NameNotResolved(ConnectFailed):
    """The host's name has no address."""


class TLSFailed(ConnectFailed):
    """The handshake failed: the certificate is not trusted, is for another name, or the peer speaks no TLS."""


class ConnectTimeout(ConnectFailed):
    """No connection (name, TCP and TLS together) within `connect_seconds`."""


class PoolTimeout(HTTP1Error):
    """All connections to the address stayed in use until the first-byte deadline."""

    def __init__(self, message: str) -> None:
        super().__init__(message, sent=False)


class FirstByteTimeout(HTTP1Error):
    """No answer, or a head without a body, until the first-byte deadline."""


class BetweenChunksTimeout(HTTP1Error):
    """Silence in the middle of a body for longer than `between_chunks_seconds`."""


class TotalTimeout(HTTP1Error):
    """The answer was not whole within `total_seconds`."""


class Disconnected(HTTP1Error):
    """The peer closed or reset the connection before a whole head came.

    `reused`: the connection had carried an exchange before. `received`: some bytes of an answer came.
    """

    def __init__(self, message: str, *, reused: bool, received: bool) -> None:
        super().__init__(message, sent=True)
        self.reused = reused
        self.received = received


class BodyCutShort(HTTP1Error):
    """The connection ended in the middle of a body: fewer bytes than its length, or no last chunk."""


class ProtocolError(HTTP1Error):
    """What came is not an HTTP/1.1 answer."""


class HeadTooLarge(ProtocolError):
    """Too many header lines, a line too long, or too many bytes in all (see `Limits`)."""


class BodyTooLong(HTTP1Error):
    """A body longer than the caller wants to hold."""


class Closed(HTTP1Error):
    """Our own side closed the response or the client."""
