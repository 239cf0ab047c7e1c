"""The last decisions, kept in memory, and their explanation as JSON."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

import msgspec

from gateway.policy.schema import ServedBy
from gateway.routing.decision import Decision
from gateway.routing.explanation import explanation
from gateway.routing.facts import RequestFacts
from gateway.routing.snapshot import FleetSnapshot


class Kept(msgspec.Struct, frozen=True, gc=False):
    """One decision with all that it was made from."""

    id: str
    decided_at: float
    """Wall clock, seconds since 1970."""
    facts: RequestFacts
    fleet: FleetSnapshot
    decision: Decision
    sent: list[ServedBy] = msgspec.field(default_factory=list)
    """What it was sent to, attempt by attempt, once it was: of a canary, its own name and generation."""


class Decisions:
    """A bounded store: the oldest goes when a new one comes."""

    def __init__(self, most: int) -> None:
        self._kept: deque[Kept] = deque(maxlen=most)

    def keep(self, kept: Kept) -> None:
        """One of a request that was asked about before takes the place of the one then."""
        if kept.facts.asked_before:
            for place in range(len(self._kept) - 1, -1, -1):
                if self._kept[place].id == kept.id:
                    self._kept[place] = kept
                    return
        self._kept.append(kept)

    def get(self, id: str) -> Kept | None:
        return next((kept for kept in reversed(self._kept) if kept.id == id), None)

    def latest(self, count: int) -> list[Kept]:
        """Newest first."""
        return list(islice(reversed(self._kept), count))


def explained(kept: Kept) -> dict[str, Any]:
    """A decision that was acted upon, as JSON-ready data. A candidate that was asked has the model and the generation
    that it was asked for: beside a canary, the decision itself does not say which."""
    told = explanation(kept.facts, kept.fleet, kept.decision)
    asked = {target.backend: {"model": target.model, "generation": target.generation} for target in kept.sent}
    for candidate in told["candidates"]:
        candidate |= asked.get(candidate["backend"], {})
    sent = [{"backend": one.backend, "model": one.model, "generation": one.generation} for one in kept.sent]
    return {"id": kept.id, "decided_at": kept.decided_at, "sent": sent, **told}
