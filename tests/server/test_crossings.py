"""Where a box crosses another path, as things stand: the price there is that of the box's own mix of tokens."""

from __future__ import annotations

from fractions import Fraction

import pytest

from gateway.economics.path import Path
from gateway.economics.prices import AmortizedCost, CostModel, PerTokenCost
from gateway.metering.series import Series
from gateway.metering.totals import Totals, keys_of
from gateway.server.crossings import live_crossovers, mix_of, show_crossovers

CAPACITY = {"box": 100.0, "base": 100.0}
KEYS = keys_of(["box", "base"], [("box", "base")], ["base"])


def paths(base: CostModel) -> list[Path]:
    return [
        Path("box", AmortizedCost(Fraction(262_800_000_000)), Fraction(10), Fraction(100), custom_weights=True),
        Path("base", base, Fraction(100), Fraction(100), custom_weights=False),
    ]


def test_an_idle_hour_leaves_the_crossover_where_the_boxs_traffic_had_put_it() -> None:
    totals = Totals(KEYS, 0.0)
    listed = paths(PerTokenCost(Fraction(500), Fraction(2000)))
    assert mix_of(totals, "box") == 0, "nothing was served yet"
    totals.add(("input", "box"), 1000)
    totals.add(("output", "box"), 100)
    totals.remember(1.0)
    (busy,) = live_crossovers(listed, CAPACITY, totals)
    assert busy.utilization == Fraction(1000, 2000 + 10 * 500), "1000 n$ a token at full use"
    for second in range(2, 3600):
        totals.remember(float(second))
    assert live_crossovers(listed, CAPACITY, totals) == [busy]


def test_a_crossover_that_is_not_known_any_more_is_taken_off_the_page() -> None:
    totals = Totals(KEYS, 0.0)
    series = Series({"box": ["m"], "base": ["m"]}, {"box": "amortized", "base": "per_token"}, "v", "p")
    listed = paths(PerTokenCost(None, Fraction(2000)))  # what a prompt costs there is not known

    def shown() -> float | None:
        labels = {"box": "box", "against": "base"}
        return series.registry.get_sample_value("crossover_crossover_utilization_ratio", labels)

    show_crossovers(series, listed, CAPACITY, totals)
    assert shown() == pytest.approx(0.5)
    totals.add(("input", "box"), 10)
    totals.add(("output", "box"), 10)
    totals.remember(1.0)
    show_crossovers(series, listed, CAPACITY, totals)
    assert shown() is None
