"""Where an owned box becomes cheaper than another path, and how much faster one path is than another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from gateway.economics.path import Capacity, Path
from gateway.economics.prices import AmortizedCost
from gateway.economics.serving import average_cost


@dataclass(frozen=True, slots=True)
class Crossover:
    """The utilisation above which `box` is cheaper per token than `against`; None: a price is unknown or 0.

    `against_busy` is the duty assumed of the other path: 1 where it too is billed by time, else None.
    """

    box: str
    against: str
    utilization: Fraction | None
    low: Fraction | None
    high: Fraction | None
    """At the two ends of the box's band; None without one."""
    against_usd_per_1m_tokens: Fraction | None
    against_busy: Fraction | None
    same_weights: bool
    """False: one of the two serves your own weights and the other only the base model's."""

    @property
    def wins(self) -> bool | None:
        """Whether the box can be the cheaper one at this capacity at all."""
        if self.utilization is not None:
            return self.utilization <= 1
        return None if self.against_usd_per_1m_tokens is None else False


@dataclass(frozen=True, slots=True)
class SpeedRatio:
    name: str
    against: str
    ratio: Fraction


def crossover_utilization(box_usd_per_1m: Fraction, other_usd_per_1m: Fraction | None) -> Fraction | None:
    """U* = ($ per second of the box) / (tok/s x $ per token of the other).

    `box_usd_per_1m` is the box's average cost at full utilisation (`average_cost`), so U* is the ratio of the two.
    Above 1 the box never wins at this capacity. None: the other's price is unknown, or it is free and never beaten.
    """
    return box_usd_per_1m / other_usd_per_1m if other_usd_per_1m else None


def crossovers(
    paths: Sequence[Path], capacity: Capacity = "single", input_tokens_per_output_token: Fraction = Fraction(0)
) -> list[Crossover]:
    """Each owned box against each path that is not one; all at the same capacity basis."""
    found = []
    for box in paths:
        if not isinstance(box.cost, AmortizedCost):
            continue
        full = average_cost(box, capacity).usd_per_1m_tokens
        assert full is not None  # an owned box always has a price
        for other in paths:
            if isinstance(other.cost, AmortizedCost):
                continue
            average = average_cost(other, capacity, input_tokens_per_output_token)
            price = average.usd_per_1m_tokens
            ends: list[Fraction | None] = [None, None]
            if box.band_nanousd_per_month is not None:
                ends = [
                    crossover_utilization(full * end / box.cost.nanousd_per_month, price)
                    for end in box.band_nanousd_per_month
                ]
            found.append(
                Crossover(
                    box=box.name,
                    against=other.name,
                    utilization=crossover_utilization(full, price),
                    low=ends[0],
                    high=ends[1],
                    against_usd_per_1m_tokens=price,
                    against_busy=Fraction(1) if average.divided_by else None,
                    same_weights=box.custom_weights == other.custom_weights,
                )
            )
    return found


def speed_ratios(paths: Sequence[Path]) -> list[SpeedRatio]:
    """Single-stream speed of each path against each owned box; speeds that nobody measured are left out."""
    measured = [path for path in paths if not path.speed_assumed]
    return [
        SpeedRatio(path.name, box.name, path.single_stream_tokens_per_second / box.single_stream_tokens_per_second)
        for box in measured
        if isinstance(box.cost, AmortizedCost)
        for path in measured
        if path.name != box.name
    ]
