"""What a strategy says: whom to send it to and who comes next, or to wait, and what it was thinking."""

from __future__ import annotations

import msgspec

from gateway.routing.decision import Circumstances, Reason
from gateway.routing.weigh import Weighed


class Chosen(msgspec.Struct, gc=False):
    """`order`: best first; empty: refuse it for lack of time. `warm`: an imported model to be started now."""

    order: list[Weighed]
    reason: Reason
    notes: Circumstances
    hold_seconds: float | None = None
    warm: Weighed | None = None
