"""What the gateway believes of a backend: failures, throttling, load, and what it learned of its speed."""

from __future__ import annotations

import pytest

from gateway.backends.errors import Fault
from gateway.routing.predict import Prediction
from gateway.server.fleet import Load, Tracker
from gateway.server.observe import read_load


@pytest.fixture
def tracker() -> Tracker:
    return Tracker("box", 64, 100.0)


def fail(tracker: Tracker, now: float, times: int = 1, fault: Fault = Fault.UPSTREAM) -> None:
    for _ in range(times):
        tracker.failed(fault, "broken", now)


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


@pytest.mark.parametrize("fault", [Fault.CLIENT, Fault.COLD])
def test_what_is_not_its_fault_does_not_count(tracker: Tracker, fault: Fault) -> None:
    fail(tracker, 0.0, 10, fault)
    assert not tracker.circuit_open(0.0)


def test_throttling_pauses_it_for_as_long_as_it_said(tracker: Tracker) -> None:
    tracker.failed(Fault.CAPACITY, "slow down", 10.0, retry_after_seconds=3.0)
    assert tracker.state(11.0, None).throttled_seconds == pytest.approx(2.0)
    assert tracker.state(13.1, None).throttled_seconds == 0.0


def test_counts_go_back_to_zero_however_an_attempt_ends(tracker: Tracker) -> None:
    def break_off() -> None:
        with tracker.under_way(50):
            assert (tracker.in_flight, tracker.unread_prompt_tokens) == (1, 50)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        break_off()
    with tracker.under_way(50) as first_token:
        first_token()
        assert (tracker.in_flight, tracker.unread_prompt_tokens) == (1, 0)
    assert (tracker.in_flight, tracker.unread_prompt_tokens) == (0, 0)


def test_requests_of_others_are_what_the_server_counts_beyond_ours(tracker: Tracker) -> None:
    tracker.load = Load(0.0, requests=7, own_in_flight=2, kv_cache_usage=0.3)
    assert tracker.state(1.0, None).foreign == 5
    assert tracker.state(6.0, None).foreign == 0  # too old to say anything


def test_corrections_follow_what_came_in_steps_and_within_limits(tracker: Tracker) -> None:
    for _ in range(1000):
        tracker.observed(Prediction(1.0, 0.1, 5.0), ttft_seconds=100.0, seconds_per_token=0.001, now=0.0)
    correction = tracker.state(0.0, None).correction
    assert correction.ttft == pytest.approx(5.0, rel=1e-3)
    assert correction.time_per_token == pytest.approx(0.2, rel=1e-3)


def test_a_correction_that_nothing_confirms_fades(tracker: Tracker) -> None:
    for _ in range(100):
        tracker.observed(Prediction(1.0, 0.1, 5.0), ttft_seconds=100.0, seconds_per_token=9.0, now=0.0)
    later = tracker.state(3600.0, None).correction
    assert later.ttft == pytest.approx(1.0, abs=1e-3)
    assert later.time_per_token == pytest.approx(1.0, abs=1e-3)


def test_a_cold_start_that_is_long_overdue_is_not_under_way(tracker: Tracker) -> None:
    tracker.cold_start_began(0.0, 60.0)
    assert tracker.state(20.0, None).restoring_seconds == pytest.approx(40.0)
    assert tracker.state(70.0, None).restoring_seconds == 0.0
    assert tracker.state(7200.0, None).restoring_seconds is None


def test_no_server_can_ask_to_be_left_alone_for_ever(tracker: Tracker) -> None:
    tracker.failed(Fault.CAPACITY, "go away", 0.0, retry_after_seconds=1e9)
    assert tracker.state(61.0, None).throttled_seconds == 0.0


def test_when_the_circuits_time_is_over_one_request_tries(tracker: Tracker) -> None:
    fail(tracker, 0.0, 3)
    with tracker.under_way(1):
        assert tracker.circuit_open(6.0)
        assert not tracker.askable(6.0)
    assert tracker.askable(6.0)


def test_utilization_is_of_the_last_minute(tracker: Tracker) -> None:
    for second in range(120):
        tracker.generated(50, float(second))
    assert tracker.state(120.0, None).utilization == pytest.approx(0.5 * (1 - 0.135), rel=0.05)
    assert tracker.state(600.0, None).utilization == pytest.approx(0.0, abs=1e-3)


PAGE = b"""# HELP vllm:num_requests_running running
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 1.0
vllm:num_requests_waiting{engine="0",model_name="m"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 2.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5
"""


def test_a_metrics_page_is_read_over_all_engines() -> None:
    assert read_load(PAGE) == (6, 0.5)


def test_a_page_without_vllms_series_says_nothing() -> None:
    assert read_load(b"up 1\n") is None
