"""The gateway's side of what is believed of backends: whose fault a failure is, what a metrics page says, and what is
learned of aliases."""

from __future__ import annotations

import pytest

from gateway.backends.errors import Fault, UpstreamError
from gateway.routing.load import Load
from gateway.routing.shared_state import Elsewhere, InProcess
from gateway.routing.speed import SpeedModel
from gateway.routing.tracker import Tracker
from gateway.server.fleet import Fleet, blame
from gateway.server.scraping import read_load

SPEED = SpeedModel(0.07, 0.003, 32, 3000.0, 0.1, 192.0)


@pytest.fixture
def tracker() -> Tracker:
    return Tracker("box", 64, SPEED)


def error(fault: Fault, retry_after_seconds: float | None = None) -> UpstreamError:
    return UpstreamError("broken", status=500, type="t", fault=fault, retry_after_seconds=retry_after_seconds)


@pytest.mark.parametrize("fault", [Fault.CLIENT, Fault.COLD, Fault.CAPACITY])
def test_what_is_not_its_fault_does_not_open_its_circuit(tracker: Tracker, fault: Fault) -> None:
    for _ in range(10):
        blame(tracker, error(fault), 0.0)
    assert not tracker.circuit_open(0.0)


def test_its_own_faults_do(tracker: Tracker) -> None:
    for _ in range(3):
        blame(tracker, error(Fault.UPSTREAM), 0.0)
    assert tracker.circuit_open(0.0)
    assert tracker.last_failure == "broken"


def test_too_many_pauses_it_for_as_long_as_it_said(tracker: Tracker) -> None:
    blame(tracker, error(Fault.CAPACITY, 3.0), 10.0)
    assert not tracker.askable(12.9)
    assert tracker.askable(13.1)


def test_answers_teach_the_lengths_of_an_alias_and_of_a_caller(tracker: Tracker) -> None:
    fleet = Fleet({"box": tracker}, lambda name, now: None)
    for _ in range(300):
        fleet.answered("domain", 4000, 1000, 40, "brief")
        fleet.answered("domain", 4000, 1000, 400, "long")
    assert fleet.lengths.expected("domain", "brief") < 80
    assert fleet.lengths.expected("domain", "long") > 350
    assert 150 < fleet.snapshot(0.0).mean_output_tokens["domain"] < 300
    assert fleet.estimate_prompt_tokens("domain", 4000) == pytest.approx(1000, rel=0.01)


class WithOthers(InProcess):
    """Another gateway has 5 requests under way at the box, of which 700 prompt tokens are unread."""

    def elsewhere(self, backend: str) -> Elsewhere:
        return Elsewhere(5, 700) if backend == "box" else super().elsewhere(backend)


def test_what_other_gateways_have_under_way_counts_as_foreign(tracker: Tracker) -> None:
    fleet = Fleet(
        {"box": tracker, "other": Tracker("other", 64, SPEED)}, lambda name, now: None, WithOthers(demand_seconds=60.0)
    )
    shown = fleet.snapshot(0.0).backends
    assert (shown["box"].foreign, shown["box"].unread_prompt_tokens) == (5, 700)
    assert (shown["other"].foreign, shown["other"].unread_prompt_tokens) == (0, 0)


def test_those_that_the_backends_own_metrics_count_too_are_not_counted_twice(tracker: Tracker) -> None:
    tracker.scraped(Load(0.0, 7, 0, None))
    fleet = Fleet({"box": tracker}, lambda name, now: None, WithOthers(demand_seconds=60.0))
    assert fleet.snapshot(1.0).backends["box"].foreign == 7


PAGE = b"""# HELP vllm:num_requests_running running
process_start_time_seconds 1.7e+09
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 1.0
vllm:num_requests_waiting{engine="0",model_name="m"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 2.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5
vllm:generation_tokens_total{engine="0",model_name="m"} 100.0
vllm:generation_tokens_total{engine="1",model_name="m"} 20.0
vllm:inter_token_latency_seconds_bucket{engine="0",le="0.1",model_name="m"} 90.0
vllm:inter_token_latency_seconds_count{engine="0",model_name="m"} 110.0
vllm:inter_token_latency_seconds_sum{engine="0",model_name="m"} 5.5
"""


def test_a_metrics_page_is_read_over_all_engines() -> None:
    assert read_load(PAGE, 9.0, 4) == Load(9.0, 6, 4, 0.5, 2, 120.0, 5.5, 110.0, 1.7e9, frozenset({"m"}))


@pytest.mark.parametrize(
    "page", [b"up 1\n", b"vllm:num_requests_running{} oops\n", b"vllm:num_requests_running{} NaN\n"]
)
def test_a_page_without_vllms_figures_says_nothing(page: bytes) -> None:
    assert read_load(page) is None


def test_requests_of_ours_that_the_page_does_not_know_are_counted_and_those_of_others_hide_them() -> None:
    assert Load(0.0, requests=3, own_in_flight=5, kv_cache_usage=None).unknown_there == 2
    assert Load(0.0, requests=9, own_in_flight=5, kv_cache_usage=None).unknown_there == 0
