"""What one client allows a peer to make it hold."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """For each address: how many connections, how long they rest, how much of an answer is kept in memory."""

    connections: int = 100
    """Open to one address at a time; further requests wait in the order they came."""
    idle_seconds: float = 4.0
    """A connection that rested so long is closed. Keep it below the peer's own limit (uvicorn's is 5 s)."""
    header_count: int = 128
    header_line_bytes: int = 16 * 1024
    head_bytes: int = 64 * 1024
    """The status line and all header lines, with every 1xx answer before them; the same again for trailers."""
    buffered_bytes: int = 64 * 1024
    """Of a body that the consumer has not taken. Above it reading pauses; one read of the loop may overshoot it."""
    resolved_seconds: float = 60.0
    """How long the addresses of a name are remembered."""
