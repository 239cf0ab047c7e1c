"""How long an exchange may take: four limits, each with an error of its own."""

from __future__ import annotations

from math import inf

import msgspec


class Deadlines(msgspec.Struct, frozen=True):
    """All in seconds, counted from the call of `Client.send` (but for the pauses within a body)."""

    connect_seconds: float = inf
    """Name, TCP and TLS of one new connection: `ConnectTimeout`."""
    first_byte_seconds: float = inf
    """Waiting for a connection, connecting, sending, the head and the first byte of the body: `FirstByteTimeout`,
    or `PoolTimeout` where it ran out in the queue."""
    between_chunks_seconds: float = inf
    """Each wait for more of the body. Time in which nobody waits does not count: `BetweenChunksTimeout`."""
    total_seconds: float = inf
    """Until the last byte. Looked at while waiting, not while bytes are there: `TotalTimeout`."""


NONE = Deadlines()
