"""The window meter: windows anchored at a copy's first call, billed whole, gone with the copy."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.economics.prices import WindowCost
from gateway.economics.windows import WindowMeter

PRICE = 571_800_000  # 2 units x $0.05718 x 5 minutes


def cost(**changed: object) -> WindowCost:
    settings: dict[str, object] = {
        "nanousd_per_unit_minute": Fraction(57_180_000),
        "units_per_copy": 2,
        "window_seconds": Fraction(300),
        "idle_seconds": Fraction(300),
        "max_copies": 3,
        "concurrency_per_copy": 2,
        "cold_start_seconds": 60.0,
    }
    return WindowCost(**(settings | changed))  # type: ignore[arg-type]


def call(meter: WindowMeter, at: float) -> None:
    meter.call_ended(meter.call_began(at))


def test_one_call_costs_one_whole_window() -> None:
    meter = WindowMeter(cost())
    call(meter, 1000.0)
    windows = meter.advance(1000.0)
    assert [(w.opened_at, w.ends_at, w.nanousd) for w in windows] == [(1000.0, 1300.0, PRICE)]
    assert meter.advance(5000.0) == []
    assert meter.accrued(5000.0) == PRICE


def test_cost_accrues_by_the_second_and_never_falls() -> None:
    meter = WindowMeter(cost())
    call(meter, 0.0)
    meter.advance(0.0)
    seen = [meter.accrued(float(second)) for second in range(0, 400, 7)]
    assert seen == sorted(seen)
    assert meter.accrued(150.0) == PRICE // 2


def test_windows_follow_one_another_until_the_copy_has_been_idle() -> None:
    meter = WindowMeter(cost())
    call(meter, 0.0)
    call(meter, 250.0)  # the copy stays until 550: a second window is billed
    assert len(meter.advance(299.0)) == 1
    assert len(meter.advance(300.0)) == 1
    assert meter.advance(10_000.0) == []


def test_only_windows_with_a_call_are_billed_where_the_policy_says_so() -> None:
    meter = WindowMeter(cost(idle_tail_billed=False))
    call(meter, 0.0)
    call(meter, 250.0)
    assert len(meter.advance(10_000.0)) == 1


def test_a_further_call_is_free_while_it_adds_no_window() -> None:
    meter = WindowMeter(cost())
    call(meter, 0.0)
    meter.advance(0.0)
    assert meter.view(0.0).free_seconds == 0.0  # any later call makes the copy outlive its first window
    call(meter, 10.0)
    meter.advance(10.0)
    assert meter.view(10.0).free_seconds == pytest.approx(290.0)
    assert meter.view(10.0).seconds_left == pytest.approx(290.0)


def test_calls_beyond_a_copys_concurrency_are_on_another_copy() -> None:
    meter = WindowMeter(cost())
    copies = [meter.call_began(float(second)) for second in range(5)]
    assert copies == [1, 1, 2, 2, 3]
    assert len(meter.advance(10.0)) == 3
    assert meter.view(10.0).room == 1


def test_beyond_the_last_copy_calls_share_it_and_open_nothing() -> None:
    meter = WindowMeter(cost(max_copies=1))
    for second in range(4):
        meter.call_began(float(second))
    assert len(meter.advance(10.0)) == 1
    assert meter.view(10.0).room == 0


def test_after_the_copy_has_gone_the_next_call_is_anchored_anew() -> None:
    meter = WindowMeter(cost())
    call(meter, 0.0)
    assert meter.view(299.0).copies == 1
    assert meter.view(301.0).copies == 0
    meter.advance(0.0)
    call(meter, 1000.0)
    assert [w.opened_at for w in meter.advance(1000.0)] == [1000.0]


def test_a_call_learned_of_late_counts_from_when_it_was_sent() -> None:
    meter = WindowMeter(cost())
    call(meter, 0.0)
    meter.advance(301.0)  # believed gone
    call(meter, 299.0)  # sent in time, answered after: the copy had stayed up
    assert [(w.copy, w.number, w.opened_at) for w in meter.advance(301.0)] == [(1, 2, 300.0)]


def test_news_of_an_earlier_call_that_comes_later_moves_the_anchor() -> None:
    for sent in ([0.0, 1.0], [1.0, 0.0]):  # in the order of the news
        meter = WindowMeter(cost())
        for at in sent:
            call(meter, at)
            meter.advance(2.0)
        meter.advance(1000.0)
        assert meter.windows_opened == 2, sent  # the copy stays until 301


def test_a_copy_that_late_news_says_had_never_gone_is_one_copy() -> None:
    meter = WindowMeter(cost())
    call(meter, 0.0)
    meter.advance(301.0)
    second = meter.call_began(310.0)  # none is believed up
    assert len(meter.advance(311.0)) == 1
    call(meter, 299.0)  # yet one was: the call at 310 was on it, in the window from 300
    assert meter.advance(312.0) == []
    assert [(state.copy, state.booked, state.merged) for state in meter.copies()] == [(1, 2, (second,))]
    assert meter.view(312.0).in_flight == 1
    meter.call_ended(second)
    assert meter.view(312.0).in_flight == 0
    assert [(w.copy, w.number, w.opened_at) for w in meter.advance(10_000.0)] == [(1, 3, 600.0)]  # it stays until 610


def test_copies_of_one_burst_stay_apart_in_whatever_order_they_are_heard_of() -> None:
    meter = WindowMeter(cost(concurrency_per_copy=1))
    assert [meter.call_began(at) for at in (0.3, 0.1, 0.2)] == [1, 2, 3]
    assert len(meter.advance(1.0)) == 3


def test_a_booked_window_after_a_gap_has_its_own_start_and_end() -> None:
    meter = WindowMeter(cost(idle_tail_billed=False, idle_seconds=Fraction(900)))
    call(meter, 0.0)
    meter.advance(1.0)
    call(meter, 650.0)
    assert [(w.number, w.opened_at, w.ends_at) for w in meter.advance(651.0)] == [(3, 600.0, 900.0)]
    assert meter.view(651.0).seconds_left == pytest.approx(249.0)
    assert meter.accrued(750.0) == PRICE + PRICE // 2


def test_a_restored_copy_knows_which_windows_are_booked() -> None:
    meter = WindowMeter(cost(idle_tail_billed=False, idle_seconds=Fraction(900)))
    meter.restore(first_call=0.0, last_call=650.0, booked=2, numbers=[1, 3])
    call(meter, 700.0)
    assert meter.advance(701.0) == []
    assert meter.view(701.0).seconds_left == pytest.approx(199.0)
    call(meter, 950.0)
    assert [w.number for w in meter.advance(951.0)] == [4]


def test_an_open_window_of_a_restored_copy_goes_on_accruing() -> None:
    meter = WindowMeter(cost())
    meter.restore(first_call=0.0, last_call=0.0, booked=1)
    assert meter.accrued(150.0) == PRICE // 2
    assert meter.advance(400.0) == []
    assert meter.accrued(400.0) == PRICE


def test_a_copy_of_an_earlier_run_is_not_booked_twice() -> None:
    meter = WindowMeter(cost())
    meter.restore(first_call=-100.0, last_call=-20.0, booked=1)
    assert meter.advance(0.0) == []
    call(meter, 5.0)
    assert meter.advance(5.0) == []
    assert [w.number for w in meter.advance(250.0)] == [2]  # it stays until 305, beyond the first window's end


@given(st.lists(st.floats(0, 3000), min_size=1, max_size=30), st.booleans())
def test_the_windows_of_one_copy_are_those_of_the_billing_rule(times: list[float], tail: bool) -> None:
    meter = WindowMeter(cost(max_copies=1, concurrency_per_copy=1000, idle_tail_billed=tail))
    expected = 0
    first: float | None = None
    last: float | None = None
    called: set[int] = set()

    def billed() -> int:
        assert first is not None
        assert last is not None
        if not tail:
            return len(called)
        whole, part = divmod(last + 300 - first, 300)
        return max(1, int(whole) + (part > 1e-6))

    for at in sorted(times):
        if last is not None and at >= last + 300:
            expected += billed()
            first, called = None, set()
        first = at if first is None else first
        last = at
        called.add(int((at - first) // 300))
        call(meter, at)
        meter.advance(at)
    meter.advance(10_000.0)
    assert meter.windows_opened == expected + billed()
    assert meter.accrued(10_000.0) == meter.windows_opened * PRICE


@given(st.lists(st.tuples(st.floats(0, 3000), st.floats(0.01, 280)), min_size=1, max_size=20), st.booleans())
def test_how_many_windows_are_booked_does_not_depend_on_the_order_of_news(
    calls: list[tuple[float, float]], tail: bool
) -> None:
    def booked(news: list[tuple[float, float]]) -> int:
        meter = WindowMeter(cost(max_copies=1, concurrency_per_copy=1000, idle_tail_billed=tail))
        for heard, sent in sorted(news):
            call(meter, sent)
            meter.advance(heard)
        meter.advance(10_000.0)
        return meter.windows_opened

    at_once, late = booked([(at, at) for at, _ in calls]), booked([(at + delay, at) for at, delay in calls])
    assert late == at_once if tail else late >= at_once
