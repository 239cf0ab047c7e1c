"""Failures open a backend's circuit and throttling pauses it: each for a while. The clock is passed in."""

from __future__ import annotations

import pytest

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
