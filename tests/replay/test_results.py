"""A run's figures, worked out by hand: 730 hours a month, so a day's use counts 730/24 times."""

from __future__ import annotations

import pytest

from gateway.replay.results import compare, figures, result
from tests.replay.hand_run import DAY, DOLLAR, run, window

DAYS_PER_MONTH = 730 / 24
CAPACITY = {"box": 200.0, "cmi": 1520.0}


def test_a_month_is_the_box_whole_and_use_scaled_from_the_span() -> None:
    one = result(run((0, "box", {}), (10, "base", {"nanousd": 2 * DOLLAR}), windows=[window(20)]), CAPACITY)
    assert one.variable_usd_per_month == pytest.approx(2.5 * DAYS_PER_MONTH)
    assert one.usd_per_month == pytest.approx(199 + 2.5 * DAYS_PER_MONTH)
    assert one.usd_per_1m_tokens == pytest.approx((199 / DAYS_PER_MONTH + 2.5) / 300 * 1e6)


def test_a_box_that_served_nothing_need_not_be_owned() -> None:
    assert result(run((0, "base", {"nanousd": DOLLAR})), CAPACITY).usd_per_month == pytest.approx(DAYS_PER_MONTH)


def test_the_bill_is_the_sum_of_what_the_backends_cost() -> None:
    one = result(run((0, "box", {}), (10, "base", {"nanousd": DOLLAR}), windows=[window(20), window(320)]), CAPACITY)
    costs = {backend.name: backend for backend in one.backends}
    assert costs["box"].flat_usd_per_month == 199
    assert costs["cmi"].window_usd_per_month == pytest.approx(1.0 * DAYS_PER_MONTH)
    assert costs["base"].token_usd_per_month == pytest.approx(DAYS_PER_MONTH)
    assert sum(backend.usd_per_month for backend in one.backends) == pytest.approx(one.usd_per_month)


def test_a_request_both_late_and_wrong_is_bad_once() -> None:
    one = result(
        run(
            (0, "box", {}),
            (1, "box", {"late": True}),
            (2, "base", {"wrong": True, "late": True}),
            (3, None, {}),
        ),
        CAPACITY,
    )
    assert (one.late, one.wrong, one.refused, one.bad) == (0.5, 0.25, 0.25, 0.75)


def test_percentiles_are_of_answered_requests_of_each_kind() -> None:
    rows = [(float(k), "box", {"ttft_s": k, "interactive": k <= 100}) for k in range(201)]
    one = result(run(*rows, (300, None, {})), CAPACITY)
    assert (one.interactive.requests, one.relaxed.requests) == (101, 100)
    assert (one.interactive.p50, one.interactive.p95, one.interactive.p99) == (50, 95, 99)
    assert one.relaxed.p50 == 150.5


def test_without_a_relaxed_request_its_percentiles_are_unknown_not_zero() -> None:
    assert result(run((0, "box", {})), CAPACITY).relaxed.p95 is None


def test_windows_are_counted_used_hardly_used_and_idle() -> None:
    windows = [window(0, calls=20, tokens=91_200), window(300, calls=3, tokens=4_000), window(600, calls=0, tokens=0)]
    one = result(run((0, "cmi", {}), windows=windows), CAPACITY).windows
    assert one.per_month == pytest.approx(3 * DAYS_PER_MONTH)
    assert one.used_per_month == pytest.approx(2 * DAYS_PER_MONTH)
    assert one.few_calls_per_month == pytest.approx(1 * DAYS_PER_MONTH)
    assert one.mean_calls == 11.5
    assert one.mean_output_tokens == 47_600
    assert one.busy_share == pytest.approx(95_200 / (900 * 1520))


def test_utilization_is_of_the_whole_span_for_a_box_and_of_its_windows_for_an_import() -> None:
    one = result(
        run((0, "box", {"out_tokens": 1_728_000}), (0, "cmi", {"out_tokens": 45_600}), windows=[window(0)]), CAPACITY
    )
    assert one.backend("box").utilization == pytest.approx(0.1)
    assert one.backend("cmi").utilization == pytest.approx(0.1)
    assert one.backend("base").utilization is None


def test_held_is_what_left_the_gateway_later_than_it_came() -> None:
    assert result(run((0, "box", {"held_s": 15}), (1, "box", {})), CAPACITY).held == 0.5


def test_days_hold_their_own_dollars_and_bad_requests() -> None:
    rows = [
        (0.0, "base", {"nanousd": DOLLAR}),
        (DAY + 1, "base", {"nanousd": 3 * DOLLAR, "late": True}),
        (3 * DAY - 1, "base", {}),
    ]
    daily = result(run(*rows, span=3 * DAY, windows=[window(DAY), window(3 * DAY + 10)]), CAPACITY).daily
    assert daily.usd.tolist() == pytest.approx([1.0, 3.5, 0.5])  # the tail after the last day belongs to it
    assert daily.bad.tolist() == [0, 1, 0]
    assert daily.requests.tolist() == [1, 1, 1]
    assert sum(daily.usd) / 3 * DAYS_PER_MONTH == pytest.approx(5.0 / 3 * DAYS_PER_MONTH)


def test_a_difference_has_its_interval_over_the_same_days() -> None:
    def days(*usd: float, bad: int = 0) -> list[tuple[float, str, dict[str, float | bool]]]:
        return [(day * DAY, "base", {"nanousd": amount * DOLLAR, "late": day < bad}) for day, amount in enumerate(usd)]

    ours = result(run(*days(1, 2, 3, 4, bad=2), span=4 * DAY), CAPACITY)
    theirs = result(run(*days(2, 4, 4, 6), span=4 * DAY, policy="theirs"), CAPACITY)
    found = compare(ours, theirs)
    assert found.usd_per_month == pytest.approx(-1.5 * DAYS_PER_MONTH)
    assert found.usd_interval is not None
    assert found.usd_interval.mean == pytest.approx(found.usd_per_month)
    # Differences -1, -2, -1, -2: standard deviation 0.57735, t of 3 degrees 3.18245.
    assert found.usd_interval.high == pytest.approx((-1.5 + 3.182446 * 0.577350 / 2) * DAYS_PER_MONTH, rel=1e-5)
    assert found.bad == 0.5
    assert found.bad_interval is not None
    assert found.bad_interval.mean == pytest.approx(0.5)


def test_two_days_give_a_difference_and_no_interval() -> None:
    one = result(run((0, "box", {}), span=2 * DAY), CAPACITY)
    found = compare(one, one)
    assert (found.usd_per_month, found.usd_interval, found.bad_interval) == (0, None, None)


def test_runs_of_other_requests_are_not_compared() -> None:
    with pytest.raises(ValueError, match="did not serve the same requests"):
        compare(result(run((0, "box", {})), CAPACITY), result(run((0, "box", {}), (1, "box", {})), CAPACITY))


def test_ratios_are_unknown_without_what_they_are_over() -> None:
    one = result(run((0, "box", {})), CAPACITY)
    found = figures(one, 100.0, None)
    assert found["over_bound"] == pytest.approx(1.99)
    assert found["over_hindsight"] is None
