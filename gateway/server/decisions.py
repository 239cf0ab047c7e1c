"""The last decisions, kept in memory, and their explanation as JSON."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec

from gateway.economics.money import usd
from gateway.routing.decision import Candidate, Decision
from gateway.routing.facts import RequestFacts
from gateway.routing.snapshot import FleetSnapshot


class Kept(msgspec.Struct, frozen=True):
    """One decision with all that it was made from."""

    id: str
    decided_at: float
    """Wall clock, seconds since 1970."""
    facts: RequestFacts
    fleet: FleetSnapshot
    decision: Decision


class Decisions:
    """A bounded store: the oldest goes when a new one comes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def keep(self, kept: Kept) -> None:
        self._kept[kept.id] = kept
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def get(self, id: str) -> Kept | None:
        return self._kept.get(id)

    def latest(self, count: int) -> list[Kept]:
        """Newest first."""
        newest = reversed(self._kept.values())
        return [kept for _, kept in zip(range(count), newest, strict=False)]


def explained(kept: Kept) -> dict[str, Any]:
    """A decision as JSON-ready data: units in the names, money in US dollars."""
    decision, facts = kept.decision, kept.facts
    chosen = decision.chosen
    return {
        "id": kept.id,
        "decided_at": kept.decided_at,
        "chosen": None if chosen is None else chosen.backend,
        "reason": decision.reason,
        "refusal": None if decision.refusal is None else msgspec.to_builtins(decision.refusal),
        "fallbacks": [candidate.backend for candidate in decision.order[1:]],
        "request": {
            "model": facts.alias,
            "operation": facts.operation,
            "estimated_input_tokens": facts.input_tokens,
            "max_output_tokens": facts.max_output_tokens,
            "stream": facts.stream,
            "ceiling": msgspec.to_builtins(facts.ceiling),
            "quality": facts.quality,
            "demands": sorted(facts.demands),
            "pinned_backend": facts.pinned_backend,
        },
        "candidates": [_candidate(candidate, kept) for candidate in decision.candidates],
    }


def _candidate(candidate: Candidate, kept: Kept) -> dict[str, Any]:
    state = kept.fleet.backends[candidate.backend]
    predicted = candidate.predicted
    return {
        "backend": candidate.backend,
        "model": candidate.target.model,
        "generation": candidate.target.generation,
        "chosen": candidate is kept.decision.chosen,
        "excluded": candidate.excluded,
        "in_time": candidate.in_time,
        "why": candidate.why,
        "predicted_ttft_seconds": None if predicted is None else predicted.ttft_seconds,
        "predicted_seconds_per_token": None if predicted is None else predicted.seconds_per_token,
        "predicted_latency_seconds": None if predicted is None else predicted.latency_seconds,
        "marginal_usd": None if candidate.marginal_nanousd is None else usd(candidate.marginal_nanousd),
        "utilization": candidate.utilization,
        "window_seconds_left": candidate.window_seconds_left,
        "in_flight": state.in_flight,
        "foreign_requests": state.foreign,
        "correction": msgspec.to_builtins(state.correction),
    }
