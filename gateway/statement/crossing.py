"""The crossover, measured: was the box busy enough to be the cheaper one, and for how much of the time? Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from gateway.economics.crossover import crossover_utilization
from gateway.economics.money import NanoUsd
from gateway.economics.path import Path
from gateway.economics.prices import AmortizedCost
from gateway.statement.ledger_rows import Served
from gateway.statement.serving import Measured, assumed_usd_per_1m, usd_per_1m

HOUR = 3600
LEAST_COVERED_SECONDS = 60.0
"""An hour of which less was covered says nothing."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """A box against one other path. `price`: of the other path, $ per 1M output tokens for the box's own mix, at list
    price or while a copy is active. `elsewhere`: what the box's very tokens would have cost there, whole billing
    windows and all; None: the ledger does not say."""

    box: str
    against: str
    simulated: bool
    by_window: bool
    """The other path is an imported model: its price is that of a copy which is never idle, at one stream."""
    same_weights: bool
    price_usd_per_1m: Fraction | None
    crossover: Fraction | None
    """Utilization above which the box is cheaper; None: the price is unknown, or 0."""
    utilization: float | None
    box_usd_per_1m: Fraction | None
    elsewhere_usd_per_1m: Fraction | None
    hours: int
    hours_above: int

    @property
    def reachable(self) -> bool:
        return self.crossover is not None and self.crossover <= 1

    @property
    def above(self) -> bool | None:
        if self.crossover is None or self.utilization is None:
            return None
        return self.utilization > self.crossover

    @property
    def cheaper(self) -> str | None:
        """The path on which what the box served is the cheaper: by what it would have cost there, where the ledger
        says, else by the crossover. None: unknown."""
        if self.elsewhere_usd_per_1m is not None and self.box_usd_per_1m is not None:
            return self.box if self.box_usd_per_1m < self.elsewhere_usd_per_1m else self.against
        return None if self.above is None else self.box if self.above else self.against


def utilization_by_hour(box: Measured, served: Sequence[Served]) -> dict[int, float]:
    """Of each hour that was covered: output tokens of the requests that began in it, over the box's capacity then."""
    if box.path is None:
        return {}
    tokens: dict[int, int] = {}
    for row in served:
        if row.backend == box.name:
            hour = row.at // HOUR * HOUR
            tokens[hour] = tokens.get(hour, 0) + row.output_tokens
    return {
        hour: tokens.get(hour, 0) / (float(box.path.max_tokens_per_second) * seconds)
        for hour, seconds in sorted(box.covered.by_step(HOUR).items())
        if seconds >= LEAST_COVERED_SECONDS or len(box.covered.by_step(HOUR)) == 1
    }


def crossings(
    paths: Sequence[Measured],
    all_paths: Sequence[Path],
    served: Sequence[Served],
    elsewhere: Mapping[tuple[str, str], NanoUsd],
) -> tuple[Crossing, ...]:
    """Each box that was measured against each path of the policy that is not one, also those on paper."""
    found: list[Crossing] = []
    for box in paths:
        if box.path is None or not isinstance(box.path.cost, AmortizedCost) or not box.covered.seconds:
            continue
        hours = utilization_by_hour(box, served)
        full = assumed_usd_per_1m(box.path, Fraction(0))
        assert full is not None  # a box has a price
        for other in all_paths:
            if isinstance(other.cost, AmortizedCost):
                continue
            price = assumed_usd_per_1m(other, box.mix)
            at = crossover_utilization(full, price)
            there = elsewhere.get((box.name, other.name))
            found.append(
                Crossing(
                    box=box.name,
                    against=other.name,
                    simulated=other.simulated or box.simulated,
                    by_window=other.cost is not None and other.cost.kind == "window",
                    same_weights=box.path.custom_weights == other.custom_weights,
                    price_usd_per_1m=price,
                    crossover=at,
                    utilization=box.utilization,
                    box_usd_per_1m=box.reservation_usd_per_1m,
                    elsewhere_usd_per_1m=None if there is None else usd_per_1m(there, box.output_tokens),
                    hours=len(hours),
                    hours_above=sum(at is not None and busy > at for busy in hours.values()),
                )
            )
    return tuple(found)
