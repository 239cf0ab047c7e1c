"""The time that the books cover: a box costs busy or idle, and while no gateway ran nobody wrote that down. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from gateway.economics.money import NanoUsd, round_half_even
from gateway.economics.prices import AmortizedCost, CostModel, ProvisionedCost
from gateway.statement.ledger_rows import Accrued
from gateway.statement.period import Period

GAP_SECONDS = 10.0
"""A running gateway writes about every second; a shorter hole is no time without one."""

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Covered:
    """Of one backend, the time in which its cost was accrued. `spans`: in order, none touching the next."""

    spans: tuple[Span, ...]
    doubled_seconds: float
    """Accrued twice: two gateways wrote the same ledger at the same time, and each counted the box as its own."""

    @property
    def seconds(self) -> float:
        return sum(until - since for since, until in self.spans)

    def within(self, period: Period) -> float:
        return sum(period.share(*span) for span in self.spans)

    def by_step(self, step_seconds: int) -> dict[int, float]:
        """Covered seconds by step of time (its start)."""
        found: dict[int, float] = {}
        for since, until in self.spans:
            at = int(since // step_seconds) * step_seconds
            while at < until:
                found[at] = found.get(at, 0.0) + Period(at, at + step_seconds).share(since, until)
                at += step_seconds
        return found


@dataclass(frozen=True, slots=True)
class NotAccrued:
    """Time of the period in which a backend that is paid by time was in nobody's books. `nanousd`: what the policy's
    price makes of it, in no other figure; None: unknown."""

    backend: str
    gaps: int
    seconds: float
    longest: Span
    nanousd: NanoUsd | None


def covered(rows: Iterable[Accrued], period: Period) -> Covered:
    """`rows`: of one backend, by the time they began."""
    spans: list[Span] = []
    doubled = 0.0
    for row in rows:
        since, until = max(row.since, period.since), min(row.until, period.until)
        if since >= until:
            continue
        if spans and since <= spans[-1][1] + 1e-3:
            last_since, last_until = spans[-1]
            doubled += max(0.0, min(last_until, until) - since)
            spans[-1] = (last_since, max(last_until, until))
        else:
            spans.append((since, until))
    return Covered(tuple(spans), doubled)


def not_accrued(
    backend: str, known: Covered, since: float, period: Period, cost: CostModel | None
) -> NotAccrued | None:
    """The holes of the period from `since` (when its cost was first accrued at all). None: there are none."""
    gaps: list[Span] = []
    at = max(since, period.since)
    for start, end in (*known.spans, (period.until, period.until)):
        if start - at > GAP_SECONDS:
            gaps.append((at, start))
        at = max(at, end)
    if not gaps:
        return None
    seconds = sum(end - start for start, end in gaps)
    rate = cost.nanousd_per_second if isinstance(cost, AmortizedCost | ProvisionedCost) else None
    return NotAccrued(
        backend=backend,
        gaps=len(gaps),
        seconds=seconds,
        longest=max(gaps, key=lambda gap: gap[1] - gap[0]),
        nanousd=None if rate is None else round_half_even(rate * Fraction(seconds)),
    )


def union(many: Iterable[Covered]) -> Covered:
    """The time in which any of them was covered."""
    spans: list[Span] = []
    for since, until in sorted(span for one in many for span in one.spans):
        if spans and since <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], until))
        else:
            spans.append((since, until))
    return Covered(tuple(spans), 0.0)


def accrued_by(rows: Iterable[Accrued]) -> dict[str, Sequence[Accrued]]:
    found: dict[str, list[Accrued]] = {}
    for row in rows:
        found.setdefault(row.backend, []).append(row)
    return dict(found)
