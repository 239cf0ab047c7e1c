"""What routing is shown of an imported model: calls under way count, and its answers correct what is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.economics.windows import WindowMeter
from tests.economics.test_windows import call, cost


def open_at(meter: WindowMeter, at: float) -> None:
    call(meter, at)
    meter.advance(at)


def test_a_call_that_is_not_answered_yet_takes_room_and_opens_nothing() -> None:
    meter = WindowMeter(cost())
    open_at(meter, 0.0)
    ticket = meter.call_sent(10.0)
    view = meter.view(11.0)
    assert (view.copies, view.in_flight, view.room) == (1, 1, 1)
    meter.call_refused(ticket)
    view = meter.view(11.0)
    assert (view.in_flight, view.room) == (0, 2)
    assert meter.advance(11.0) == []


def test_a_call_sent_to_a_cold_model_is_in_flight_and_no_copy_is_believed_up() -> None:
    meter = WindowMeter(cost())
    meter.call_sent(0.0)
    view = meter.view(5.0)
    assert (view.copies, view.in_flight, view.room, view.free_seconds) == (0, 1, 0, 0.0)
    assert meter.advance(5.0) == []


def test_a_call_that_is_not_answered_yet_makes_the_next_one_free_as_it_will() -> None:
    meter = WindowMeter(cost())
    open_at(meter, 0.0)
    assert meter.view(20.0).free_seconds == 0.0
    ticket = meter.call_sent(20.0)  # if it succeeds the copy outlives its first window
    assert meter.view(21.0).free_seconds == pytest.approx(279.0)
    meter.call_refused(ticket)
    assert meter.view(21.0).free_seconds == 0.0


def test_a_long_call_that_is_not_streamed_keeps_its_copy_up() -> None:
    meter = WindowMeter(cost())
    open_at(meter, 0.0)
    long = meter.call_sent(290.0)
    meter.advance(290.0)
    assert meter.view(650.0).copies == 1
    meter.call_ended(meter.call_began(650.0))
    meter.call_began(290.0, long)
    meter.advance(700.0)
    assert meter.windows_opened == 3  # from 0, one after another: the copy never went


def test_not_ready_means_that_the_copy_has_gone() -> None:
    meter = WindowMeter(cost())
    open_at(meter, 0.0)
    open_at(meter, 50.0)
    assert meter.not_ready(120.0)
    assert meter.view(120.0).copies == 0
    assert meter.advance(400.0) == []  # nor is a second window believed to follow
    call(meter, 190.0)  # as long after as a new copy takes
    meter.advance(190.0)
    assert meter.windows_opened == 2


def test_an_answer_soon_after_not_ready_shows_that_the_copy_never_went() -> None:
    meter = WindowMeter(cost())
    open_at(meter, 0.0)
    assert meter.not_ready(100.0)
    call(meter, 110.0)
    meter.advance(110.0)
    assert meter.windows_opened == 1
    assert meter.view(110.0).copies == 1


def test_not_ready_beside_calls_under_way_means_full() -> None:
    meter = WindowMeter(cost())
    meter.call_began(0.0)
    meter.advance(0.0)
    assert not meter.not_ready(10.0)
    assert meter.view(10.0).copies == 1


def test_too_many_means_less_room_than_believed_for_a_while() -> None:
    meter = WindowMeter(cost(concurrency_per_copy=16))
    copies = [meter.call_began(0.0) for _ in range(5)]
    meter.throttled(1.0)
    assert meter.view(1.0).room == 0
    meter.call_ended(copies[0])
    assert meter.view(2.0).room == 1
    assert meter.view(100.0).room == 12


@given(st.lists(st.tuples(st.floats(0, 900), st.floats(0.1, 290)), min_size=1, max_size=12), st.booleans())
def test_that_a_call_was_known_of_while_it_was_under_way_moves_no_money(
    calls: list[tuple[float, float]], tail: bool
) -> None:
    known, unknown = (WindowMeter(cost(idle_tail_billed=tail, concurrency_per_copy=100)) for _ in range(2))
    moments = sorted(
        [(at, 0, i) for i, (at, _) in enumerate(calls)] + [(at + took, 1, i) for i, (at, took) in enumerate(calls)]
    )
    tickets: dict[int, int] = {}
    for at, answered, number in moments:
        sent_at, _ = calls[number]
        if answered:
            known.call_ended(known.call_began(sent_at, tickets[number]))
            call(unknown, sent_at)
        else:
            tickets[number] = known.call_sent(sent_at)
        known.advance(at)
        unknown.advance(at)
    known.advance(5000.0)
    unknown.advance(5000.0)
    assert known.windows_opened == unknown.windows_opened


@given(st.lists(st.floats(0, 2000), min_size=1, max_size=12))
def test_calls_that_are_all_refused_cost_nothing_and_leave_nothing(times: list[float]) -> None:
    meter = WindowMeter(cost())
    for ticket in [meter.call_sent(at) for at in sorted(times)]:
        meter.call_refused(ticket)
    assert meter.advance(5000.0) == []
    assert meter.view(2000.0).in_flight == 0
