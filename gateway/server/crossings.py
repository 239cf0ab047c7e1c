"""Where each owned box crosses each other path, as things stand: at the capacity measured now, and at the price of the
other path for the mix of input and output tokens that the box has served lately."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from gateway.economics.crossover import Crossover, crossovers
from gateway.economics.path import Path
from gateway.economics.prices import AmortizedCost
from gateway.economics.serving import average_cost
from gateway.metering.series import Series
from gateway.metering.totals import Totals

MIX_SECONDS = 900.0
"""The mix of tokens is of the last quarter of an hour."""


def mix_of(totals: Totals, backend: str) -> Fraction:
    """Input tokens that came with each output token: lately, or since the start where nothing was made lately. (An idle
    night must not move the crossover to that of prompts without a token.) 0 before there were any."""
    for change in (totals.over(MIX_SECONDS), totals.since_start()):
        output = change["output", backend]
        if output:
            return Fraction(change["input", backend], output)
    return Fraction(0)


def live_crossovers(paths: Sequence[Path], capacity: Mapping[str, float], totals: Totals) -> list[Crossover]:
    """Each box at all that it can do together, as its utilization is measured; the other path at one stream of it.
    `capacity`: output tokens/s by backend, as measured."""
    found = []
    for box in paths:
        if not isinstance(box.cost, AmortizedCost):
            continue
        at_one_stream = [
            replace(other, max_tokens_per_second=other.single_stream_tokens_per_second)
            for other in paths
            if not isinstance(other.cost, AmortizedCost)
        ]
        measured = _as_measured(box, capacity[box.name])
        found += crossovers([measured, *at_one_stream], "max", mix_of(totals, box.name))
    return found


def _as_measured(box: Path, capacity: float) -> Path:
    return replace(box, max_tokens_per_second=Fraction(capacity).limit_denominator(10**6))


def usd_per_1m_at_full(box: Path, capacity: float) -> Fraction:
    """What 1M output tokens cost on a box that is busy all the time, at the capacity measured now."""
    price = average_cost(_as_measured(box, capacity), "max").usd_per_1m_tokens
    assert price is not None  # an owned box always has a price
    return price


def show_crossovers(series: Series, paths: Sequence[Path], capacity: Mapping[str, float], totals: Totals) -> None:
    for one in live_crossovers(paths, capacity, totals):
        series.crossing(one.box, one.against, None if one.utilization is None else float(one.utilization))
