"""What the server allows a client to make it hold, and for how long."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """For each connection."""

    head_bytes: int = 64 * 1024
    """Request line and headers of one request; more is answered 431."""
    header_count: int = 128
    body_bytes: int = 20 * 1024 * 1024
    """More is answered 413."""
    idle_seconds: float = 75.0
    """A connection on which no whole head came for so long is closed."""
    stalled_seconds: float = 120.0
    """A client that takes nothing of what was written for so long is left: its connection is aborted."""
    buffered_bytes: int = 64 * 1024
    """Written and not yet taken by the client: above it the source is paused."""
    linger_seconds: float = 2.0
    """After an answer that came before the whole request, what still comes is read and dropped for so long: a close at
    once would reset the connection, and the client might lose the answer."""
