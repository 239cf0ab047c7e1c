"""What would it have cost there? By the token, by whole windows, or not at all."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.economics.elsewhere import EverywhereElse, elsewhere
from gateway.economics.prices import AmortizedCost, PerTokenCost, ProvisionedCost, WindowCost

WINDOWS = WindowCost(Fraction(57_180_000), 2, Fraction(300), Fraction(300), 3, 2, 60.0)
WINDOW = WINDOWS.nanousd_per_window
SPEED = 10.0


def cost_of(calls: list[tuple[float, int]], until: float) -> int:
    path = elsewhere(WINDOWS, SPEED)
    assert path is not None
    total, now = 0, 0.0
    for at, tokens in sorted(calls):
        while now + 1.0 < at:
            now += 1.0
            total += path.due(now)
        path.served(5, tokens, at)
    while now < until:
        now += 1.0
        total += path.due(now)
    return total


def test_one_answer_costs_one_whole_window_there() -> None:
    assert cost_of([(10.0, 20)], 1000.0) == WINDOW


def test_answers_within_a_window_share_it_and_those_after_it_open_another() -> None:
    assert cost_of([(10.0, 20), (50.0, 20), (200.0, 20)], 2000.0) == 2 * WINDOW, "the copy outlives its first window"
    assert cost_of([(10.0, 20), (3000.0, 20)], 5000.0) == 2 * WINDOW


def test_answers_at_once_need_as_many_copies_as_their_streams_fill() -> None:
    at_once = [(10.0, 100), (10.1, 100), (10.2, 100)]  # ten seconds each, two a copy
    one_after_another = [(10.0, 10), (13.0, 10), (16.0, 10)]
    assert cost_of(at_once, 2000.0) > cost_of(one_after_another, 2000.0)


def test_it_accrues_by_the_second_and_not_as_a_lump() -> None:
    path = elsewhere(WINDOWS, SPEED)
    assert path is not None
    path.served(5, 20, 0.0)
    assert path.due(60.0) == pytest.approx(WINDOW / 5, abs=1)
    assert path.due(120.0) == pytest.approx(WINDOW / 5, abs=1)


def test_a_box_and_an_unknown_price_have_no_figure() -> None:
    assert elsewhere(AmortizedCost(Fraction(1)), SPEED) is None
    assert elsewhere(PerTokenCost(None, Fraction(220)), SPEED) is None
    assert elsewhere(ProvisionedCost(None, 1), SPEED) is None
    assert elsewhere(None, SPEED) is None


def test_each_backends_answers_are_priced_on_every_other_path_and_all_together_on_each() -> None:
    costs = {"box": AmortizedCost(Fraction(1)), "cmi": WINDOWS, "base": PerTokenCost(Fraction(100), Fraction(200))}
    everywhere = EverywhereElse(costs, dict.fromkeys(costs, SPEED))
    everywhere.served("box", 10, 20, 1.0)
    everywhere.served("base", 1, 2, 2.0)
    pairs, alone = everywhere.due(2000.0)
    assert pairs == {
        ("box", "cmi"): WINDOW, ("box", "base"): 5000, ("cmi", "base"): 0, ("base", "cmi"): WINDOW,
    }  # fmt: skip
    assert alone["base"] == 5000 + 500
    assert alone["cmi"] == WINDOW * 2, "a second call keeps the copy up for a second window"


@settings(deadline=None)
@given(
    calls=st.lists(st.tuples(st.floats(0.0, 900.0), st.integers(0, 200)), max_size=12),
    more=st.tuples(st.floats(0.0, 900.0), st.integers(0, 200)),
)
def test_it_is_whole_windows_and_one_more_answer_moves_it_by_few(
    calls: list[tuple[float, int]], more: tuple[float, int]
) -> None:
    before, after = cost_of(calls, 2500.0), cost_of([*calls, more], 2500.0)
    assert before % WINDOW == after % WINDOW == 0
    # One more can also make it less: the copy that it keeps up answers what would have opened another copy's windows.
    assert abs(after - before) <= 3 * WINDOW


def test_provisioned_units_that_were_never_granted_have_no_price() -> None:
    assert elsewhere(ProvisionedCost(Fraction(7_110_000_000), 0), SPEED) is None, "0 units cannot serve for $0"
