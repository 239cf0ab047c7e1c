"""Failures open a backend's circuit and throttling pauses it: each for a while. The clock is passed in."""

from __future__ import annotations

import random

import pytest

from gateway.routing.circuit import JITTER, LONGEST_OPEN_SECONDS, OPEN_SECONDS, Circuit
from gateway.routing.speed import SpeedModel
from gateway.routing.tracker import Tracker

SEED = SpeedModel(0.07, 0.003, 32, 1000.0, 0.0, 32 / 0.166)


@pytest.fixture
def tracker() -> Tracker:
    return Tracker("box", 64, SEED)


def fail(tracker: Tracker, now: float, times: int = 1) -> None:
    for _ in range(times):
        tracker.broke("broken", now)


def test_three_failures_in_a_row_open_the_circuit_for_a_while(tracker: Tracker) -> None:
    fail(tracker, 0.0, 2)
    assert not tracker.circuit_open(0.0)
    fail(tracker, 0.0)
    assert tracker.circuit_open(0.0)
    assert tracker.circuit_open(4.9)
    assert not tracker.circuit_open(5.1)


def test_one_more_failure_opens_it_again_for_longer_and_a_success_closes_it(tracker: Tracker) -> None:
    fail(tracker, 0.0, 3)
    fail(tracker, 6.0)
    assert tracker.circuit_open(6.0 + 9.9)
    tracker.succeeded()
    assert not tracker.circuit_open(6.1)
    fail(tracker, 20.0, 2)
    assert not tracker.circuit_open(20.0)


def test_throttling_pauses_it_for_as_long_as_it_said(tracker: Tracker) -> None:
    tracker.throttled(10.0, 3.0)
    assert tracker.state(11.0, None).throttled_seconds == pytest.approx(2.0)
    assert tracker.state(13.1, None).throttled_seconds == 0.0


def test_no_server_can_ask_to_be_left_alone_for_ever(tracker: Tracker) -> None:
    tracker.throttled(0.0, 1e9)
    assert tracker.state(61.0, None).throttled_seconds == 0.0


def test_when_the_circuits_time_is_over_one_request_tries(tracker: Tracker) -> None:
    fail(tracker, 0.0, 3)
    with tracker.under_way(1, lambda: 6.0):
        assert tracker.circuit_open(6.0)
        assert not tracker.askable(6.0)
    assert tracker.askable(6.0)


def opened_for(circuit: Circuit, now: float) -> float:
    """Fails until it opens; seconds until it may be tried."""
    while not circuit.open(now):
        circuit.broke("broken", now)
    step = 0.001
    return next(n * step for n in range(10**6) if not circuit.open(now + n * step))


def test_chance_makes_the_time_longer_by_at_most_its_share() -> None:
    chance = random.Random(7)
    each = [opened_for(Circuit(chance.random), 0.0) for _ in range(50)]
    assert min(each) >= OPEN_SECONDS
    assert max(each) <= OPEN_SECONDS * (1 + JITTER) + 0.001
    assert len(set(each)) > 40
    assert opened_for(Circuit(lambda: 0.5), 0.0) == pytest.approx(OPEN_SECONDS * (1 + JITTER / 2), abs=0.002)


def test_one_seed_gives_one_course_and_no_chance_no_spread() -> None:
    def course(circuit: Circuit) -> list[float]:
        times, now = [], 0.0
        for _ in range(6):
            times.append(opened_for(circuit, now))
            now += times[-1]
        return times

    assert course(Circuit(random.Random(3).random)) == course(Circuit(random.Random(3).random))
    plain = course(Circuit())
    assert plain == pytest.approx([5.0, 10.0, 20.0, 40.0, LONGEST_OPEN_SECONDS, LONGEST_OPEN_SECONDS], abs=0.002)


def test_throttling_is_no_illness(tracker: Tracker) -> None:
    for _ in range(10):
        tracker.throttled(0.0, 2.0)
    assert not tracker.circuit_open(0.0)
    assert not tracker.askable(1.9)
    assert tracker.askable(2.0)


def test_a_trial_that_says_nothing_leaves_the_next_as_the_trial(tracker: Tracker) -> None:
    fail(tracker, 0.0, 3)
    for _ in range(3):  # its client left, or made a mistake: neither a success nor a failure
        with tracker.under_way(1, lambda: 6.0):
            assert not tracker.askable(6.0)
    with tracker.under_way(1, lambda: 6.0):
        tracker.succeeded()
    assert tracker.askable(6.0)
