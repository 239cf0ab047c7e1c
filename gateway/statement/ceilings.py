"""Answers that came late, or from the wrong model, against the error budget; and why requests went where they did."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway.statement.ledger_rows import Answered

WORST_HOURS = 5


@dataclass(frozen=True, slots=True)
class Judged:
    """Requests of one alias, or hour, or all. Judged: answered, timed out, or turned away because nobody would have
    been in time (the last two are late). wrong: answered below the quality they need."""

    name: str
    requests: int
    in_time: int
    late: int
    wrong: int
    by_time_alone: int

    @property
    def judged(self) -> int:
        return self.in_time + self.late + self.wrong

    @property
    def bad(self) -> int:
        return self.late + self.wrong

    @property
    def bad_ratio(self) -> float | None:
        return self.bad / self.judged if self.judged else None

    def budget_used(self, error_budget: float) -> float | None:
        """Of the error budget, what this period alone used: 1 is all of it."""
        return None if self.bad_ratio is None or not error_budget else self.bad_ratio / error_budget


@dataclass(frozen=True, slots=True)
class Routed:
    """Requests that went somewhere for one reason."""

    reason: str
    backend: str | None
    requests: int
    held: int
    output_tokens: int
    judged: int
    bad: int


_K = TypeVar("_K", bound=Hashable)


def _together(rows: Iterable[Answered], by: Callable[[Answered], _K]) -> dict[_K, list[Answered]]:
    found: dict[_K, list[Answered]] = {}
    for row in rows:
        found.setdefault(by(row), []).append(row)
    return found


def judged(name: str, rows: Sequence[Answered]) -> Judged:
    return Judged(
        name=name,
        requests=sum(row.requests for row in rows),
        in_time=sum(row.in_time for row in rows),
        late=sum(row.late for row in rows),
        wrong=sum(row.wrong for row in rows),
        by_time_alone=sum(row.by_time_alone for row in rows),
    )


def by_alias(rows: Sequence[Answered]) -> tuple[Judged, ...]:
    """The most bad ones first."""
    found = [judged(alias, mine) for alias, mine in _together(rows, lambda row: row.alias).items()]
    return tuple(sorted(found, key=lambda one: (-one.bad, one.name)))


def worst_hours(rows: Sequence[Answered]) -> tuple[tuple[int, Judged], ...]:
    """The hours with the most bad requests; none without any."""
    hours = [(hour, judged("", mine)) for hour, mine in _together(rows, lambda row: row.hour).items()]
    worst = sorted((one for one in hours if one[1].bad), key=lambda one: (-one[1].bad, one[0]))
    return tuple(worst[:WORST_HOURS])


def by_reason(rows: Sequence[Answered]) -> tuple[Routed, ...]:
    """The most frequent first."""
    found = []
    for (reason, backend), mine in _together(rows, lambda row: (row.reason, row.backend)).items():
        told = judged("", mine)
        held, tokens = sum(row.held for row in mine), sum(row.output_tokens for row in mine)
        found.append(Routed(reason, backend, told.requests, held, tokens, told.judged, told.bad))
    return tuple(sorted(found, key=lambda one: (-one.requests, one.reason, one.backend or "")))
