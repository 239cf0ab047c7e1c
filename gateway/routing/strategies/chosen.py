"""What a strategy says: whom to send it to and who comes next, or to wait, and what it was thinking."""

from __future__ import annotations

from gateway.routing.decision import Circumstances, Reason
from gateway.routing.weigh import Weighed


class Chosen:
    """`order`: best first; empty: refuse it for lack of time. `warm`: an imported model to be started now."""

    __slots__ = ("hold_seconds", "notes", "order", "reason", "warm")

    def __init__(
        self,
        order: list[Weighed],
        reason: Reason,
        notes: Circumstances,
        *,
        hold_seconds: float | None = None,
        warm: Weighed | None = None,
    ) -> None:
        self.order = order
        self.reason = reason
        self.notes = notes
        self.hold_seconds = hold_seconds
        self.warm = warm
