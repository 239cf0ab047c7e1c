"""The worth of an answer in time: it stays while the error budget is spent evenly, and answers when it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.routing import BudgetSettings
from gateway.routing.budget import DRIFT_LIMIT, LIMIT, Budget

WINDOW, WINDOW_SECONDS, WORK = 571_800_000.0, 300.0, 0.6
BUDGET = 0.01
EXACT = {"aim": 1.0, "caution": 0.0}
"""The whole budget is meant to be spent."""


def worth(budget: Budget) -> float:
    return budget.worth(WINDOW, WINDOW_SECONDS, WORK)


def spent(share: float, count: int, **settings: float) -> Budget:
    """So many requests ended, this share of them badly, evenly."""
    budget = Budget(BudgetSettings(**settings), BUDGET)
    for ended in range(1, count + 1):
        budget.counted(ended, int(ended * share + 1e-9))
    return budget


def test_it_starts_as_so_many_times_the_share_of_a_window_that_the_request_takes_of_the_box() -> None:
    started = Budget(BudgetSettings(first_worth=9.0), BUDGET)
    assert worth(started) == 9.0 * WINDOW / WINDOW_SECONDS * WORK


def test_a_budget_that_is_spent_as_meant_leaves_the_worth_where_it_was() -> None:
    before = worth(Budget(BudgetSettings(**EXACT), BUDGET))
    assert 0.5 < worth(spent(BUDGET, 50_000, **EXACT)) / before < 1.5


def test_an_overspent_budget_raises_the_worth_steeply() -> None:
    even, over = spent(BUDGET, 20_000), spent(3 * BUDGET, 20_000)
    assert worth(over) > 5 * worth(even)
    assert worth(spent(1.5 * BUDGET, 20_000)) > 2 * worth(even)


def test_an_underspent_budget_lowers_it_gently() -> None:
    even, under, over = spent(BUDGET, 20_000), spent(0.0, 20_000), spent(2 * BUDGET, 20_000)
    assert worth(under) < worth(even)
    assert worth(even) / worth(under) < worth(over) / worth(even)


def test_a_few_late_answers_at_the_start_are_no_reason_for_alarm() -> None:
    budget = Budget(BudgetSettings(), BUDGET)
    budget.counted(10, 2)
    started = worth(Budget(BudgetSettings(), BUDGET))
    assert started < worth(budget) < 3 * started


def test_once_the_share_is_right_again_so_is_the_worth() -> None:
    budget, calm = (
        Budget(BudgetSettings(drift=0.0, **EXACT), BUDGET),
        Budget(BudgetSettings(drift=0.0, **EXACT), BUDGET),
    )
    budget.counted(1_000, 60)
    alarmed = worth(budget)
    budget.counted(1_000_000, round(1_000_000 * BUDGET))
    assert worth(budget) < alarmed
    assert abs(worth(budget) / worth(calm) - 1) < 0.01


def test_the_starting_point_follows_what_persists_and_no_further_than_its_limit() -> None:
    fast = BudgetSettings(drift=100.0, **EXACT)
    budget = Budget(fast, BUDGET)
    for ended in range(1, 200_000, 100):
        budget.counted(ended, ended // 2)
    at_most = worth(Budget(fast, BUDGET)) * 2.718281828459046 ** (LIMIT + DRIFT_LIMIT)
    assert budget.worth(1e18, 1e18, 1.0) <= at_most * 1e18


def test_an_outage_is_not_paid_back_for_ever() -> None:
    budget = Budget(BudgetSettings(drift=0.0, **EXACT), BUDGET)
    budget.counted(500_000, 5_000)
    before = worth(budget)
    budget.counted(510_000, 15_000)
    assert worth(budget) > 10 * before
    for good in range(1_000, 200_001, 1_000):
        budget.counted(510_000 + good, 15_000)
    assert worth(budget) < 2 * before


def test_what_is_long_past_fades() -> None:
    budget = Budget(BudgetSettings(drift=0.0, memory_requests=10_000.0, **EXACT), BUDGET)
    for ended in range(100, 1_000_001, 100):
        budget.counted(ended, 0)
    assert budget.ended < 11_000
    budget.counted(1_000_500, 500)
    assert worth(budget) > worth(Budget(BudgetSettings(drift=0.0, **EXACT), BUDGET))


def test_counts_may_come_in_steps_as_from_a_shared_store() -> None:
    one, steps = Budget(BudgetSettings(drift=0.0, **EXACT), BUDGET), Budget(BudgetSettings(drift=0.0, **EXACT), BUDGET)
    for ended in range(1, 2001):
        one.counted(ended, ended // 50)
    steps.counted(700, 14)
    steps.counted(2000, 40)
    assert worth(one) == pytest.approx(worth(steps), rel=0.01)


counts = st.lists(st.tuples(st.integers(0, 5_000), st.floats(0, 1)), max_size=30)


@given(
    counts, st.floats(0, 1e12), st.floats(1, 1e5), st.floats(0, 1e4), st.floats(1e-6, 0.999), st.floats(0.001, 1000.0)
)
def test_it_is_never_negative_and_never_above_its_windows(
    steps: list[tuple[int, float]], window: float, seconds: float, work: float, share: float, most: float
) -> None:
    budget, ended, bad = Budget(BudgetSettings(most_windows=most), share), 0, 0
    for more, badly in steps:
        ended, bad = ended + more, bad + int(more * badly)
        budget.counted(ended, bad)
        assert 0.0 <= budget.worth(window, seconds, work) <= most * window


@given(st.integers(1, 100_000), st.integers(0, 1000), st.integers(1, 1000))
def test_more_bad_answers_never_make_it_less_worth(ended: int, bad: int, more: int) -> None:
    fewer, many = Budget(BudgetSettings(), BUDGET), Budget(BudgetSettings(), BUDGET)
    fewer.counted(ended, min(ended, bad))
    many.counted(ended, min(ended, bad + more))
    assert worth(many) >= worth(fewer)
