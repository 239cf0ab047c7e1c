"""An answer that was not streamed: it is all there when it is handed over."""

from __future__ import annotations

from gateway.backends.contract import Sink
from gateway.backends.usage import Usage


class WholeReply:
    """See `contract.Reply`."""

    __slots__ = ("admitted_at", "content_type", "first", "usage")

    def __init__(self, content_type: str, body: bytes, usage: Usage, admitted_at: float) -> None:
        self.content_type = content_type
        self.first = body
        self.usage = usage
        self.admitted_at = admitted_at

    async def relay(self, sink: Sink) -> None:
        """Nothing is left."""

    def close(self) -> None:
        """Its connection is free already."""
