"""What tokens that were served in one place would have cost in another, had they gone there alone. Pure.

By the token: list price. An imported model: whole billing windows, as the same calls would have opened them there; the
windows run on after the calls, and so does their cost. Provisioned units: their price at the speed of one stream, as if
they were never idle (the least it could be). An owned box has no such price: its month is paid in any case.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from fractions import Fraction
from typing import Protocol

from gateway.economics.money import NanoUsd
from gateway.economics.prices import CostModel, PerTokenCost, ProvisionedCost, TokenRate, WindowCost
from gateway.economics.windows import WindowMeter

LEAST_CALL_SECONDS = 1e-3
"""An answer without output tokens is a call all the same."""


class Elsewhere(Protocol):
    """A path that is told of answers, and says what they would have cost on it so far."""

    def served(self, input_tokens: int, output_tokens: int, at: float) -> None: ...

    def due(self, now: float) -> NanoUsd:
        """n$ since the last call of this, never below 0. `now` does not fall."""
        ...


class ByTheToken:
    def __init__(self, rate: TokenRate) -> None:
        self._rate = rate
        self._due = 0

    def served(self, input_tokens: int, output_tokens: int, at: float) -> None:
        del at
        self._due += self._rate.price(input_tokens, output_tokens)

    def due(self, now: float) -> NanoUsd:
        del now
        due, self._due = self._due, 0
        return due


class ByTheWindow:
    """Answers are taken to begin there when they ended here, and to take as long as one stream of that path: only then
    is their length known, and when all of them move by their own latency, the windows stay as many."""

    def __init__(self, cost: WindowCost, tokens_per_second: float) -> None:
        self._tokens_per_second = tokens_per_second
        self._meter = WindowMeter(cost)
        self._under_way: list[tuple[float, int]] = []
        """When each call would end, and its copy."""
        self._booked = 0

    def served(self, input_tokens: int, output_tokens: int, at: float) -> None:
        del input_tokens
        self._end_until(at)
        ends = at + max(LEAST_CALL_SECONDS, output_tokens / self._tokens_per_second)
        heapq.heappush(self._under_way, (ends, self._meter.call_began(at)))

    def due(self, now: float) -> NanoUsd:
        self._end_until(now)
        self._meter.advance(now)
        accrued = self._meter.accrued(now)
        due, self._booked = max(0, accrued - self._booked), max(accrued, self._booked)
        return due

    def _end_until(self, now: float) -> None:
        while self._under_way and self._under_way[0][0] <= now:
            ended, copy = heapq.heappop(self._under_way)
            self._meter.advance(ended)
            self._meter.call_ended(copy)


def elsewhere(cost: CostModel | None, tokens_per_second: float) -> Elsewhere | None:
    """`tokens_per_second`: of one stream. None: it has no such price (an owned box; no units to serve it), or it is
    unknown."""
    match cost:
        case PerTokenCost():
            return None if cost.rate is None else ByTheToken(cost.rate)
        case WindowCost():
            return ByTheWindow(cost, tokens_per_second)
        case ProvisionedCost() if cost.units and cost.nanousd_per_second is not None:
            return ByTheToken(TokenRate.of(Fraction(0), cost.nanousd_per_second / Fraction(str(tokens_per_second))))
        case _:
            return None


class EverywhereElse:
    """Each backend's answers on each other path, and all of them together on each path."""

    def __init__(self, costs: Mapping[str, CostModel | None], tokens_per_second: Mapping[str, float]) -> None:
        def path(name: str) -> Elsewhere | None:
            return elsewhere(costs[name], tokens_per_second[name])

        self._pairs = {
            (served_by, priced_as): made
            for served_by in costs
            for priced_as in costs
            if served_by != priced_as and (made := path(priced_as)) is not None
        }
        self._alone = {name: made for name in costs if (made := path(name)) is not None}
        self._answers: list[tuple[str, int, int, float]] = []

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(served by, priced as)."""
        return list(self._pairs)

    @property
    def paths(self) -> list[str]:
        return list(self._alone)

    def served(self, backend: str, input_tokens: int, output_tokens: int, at: float) -> None:
        """An answer that ended at `at`. Worked out when somebody asks, not on the request's time."""
        self._answers.append((backend, input_tokens, output_tokens, at))

    def due(self, now: float) -> tuple[dict[tuple[str, str], NanoUsd], dict[str, NanoUsd]]:
        """n$ since the last call: by pair, and of all answers together by path."""
        answers, self._answers = self._answers, []
        for backend, input_tokens, output_tokens, at in answers:
            for (served_by, _), pair in self._pairs.items():
                if served_by == backend:
                    pair.served(input_tokens, output_tokens, at)
            for path in self._alone.values():
                path.served(input_tokens, output_tokens, at)
        return (
            {names: pair.due(now) for names, pair in self._pairs.items()},
            {name: path.due(now) for name, path in self._alone.items()},
        )
