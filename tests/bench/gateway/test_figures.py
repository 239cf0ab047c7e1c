"""From given samples to medians, ratios, verdicts, tables and the chart; and the order of the rounds."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from gateway.bench.gateway.chart import chart
from gateway.bench.gateway.figures import NAMES, Figure, figures, goals
from gateway.bench.gateway.lag import buckets, quantile
from gateway.bench.gateway.page import cell, goal_rows, markdown
from gateway.bench.gateway.rounds import Ladder, Memory, Plan, Results, Sample, Scenario, stalled, summed, turned
from gateway.bench.gateway.systems import ALL

FACTS: dict[str, Any] = {
    "cpu": "a chip", "cores": 2, "python": "CPython 3.11", "system": "Linux 6", "at": "today", "load_average": [0.1],
}  # fmt: skip


def sample(system: str, turn: int, scenario: str, cpu: float = 0.0, ms: float = 1.0, **more: Any) -> Sample:
    times = {"p50": ms, "p99": 2 * ms, "max": 3 * ms}
    return Sample(system, turn, scenario, 1.0, 100, 1000, cpu, 0.0, times, times, times, more.get("errors", {}))


def results() -> Results:
    """Crossover takes 20, 30 and 40 us a request, the router 100, and 0.5 ms more than going direct."""
    samples = []
    for turn in range(3):
        for scenario in ("whole 32", "stream 1"):
            base = 1.0 + turn
            samples += [
                sample("direct", turn, scenario, ms=base),
                sample("crossover", turn, scenario, cpu=(20 + 10 * turn) * 1e-4, ms=base + 0.5),
                sample("vllm-router", turn, scenario, cpu=100e-4, ms=base + 0.4),
            ]
    ladders = [Ladder(name, 0, streams, []) for name, streams in (("crossover", 512), ("vllm-router", 256))]
    memory = {"crossover": Memory(50_000_000, 90_000_000, 60_000_000), "vllm-router": Memory(100_000_000)}
    return Results(Plan(rounds=3), (), samples, ladders, memory)


def test_a_figure_is_the_median_of_the_rounds_with_quartiles() -> None:
    assert figures(results())["cpu_request_32"]["crossover"] == Figure(
        pytest.approx(30), pytest.approx(25), pytest.approx(35)
    )


def test_what_is_added_is_held_against_going_direct_in_the_same_round() -> None:
    found = figures(results())
    assert found["ttft_1_p50"]["crossover"].median == pytest.approx(0.5)
    assert found["ttft_1_p99"]["crossover"].median == pytest.approx(1.0)
    assert "direct" not in found["ttft_1_p50"]


def test_goals_are_met_or_missed_by_the_medians() -> None:
    found = {goal.name: goal for goal in goals(figures(results()), lag_seconds=0.03)}
    request = found[NAMES["cpu_request_32"]]
    assert (request.met, request.limit) == (True, pytest.approx(80))
    assert request.ratios == {"nginx": None, "vllm-router": pytest.approx(0.3), "litellm": None}
    assert found[NAMES["ttft_1_p50"]].met is False
    assert found[NAMES["streams"]].met is True
    assert found[NAMES["rss_idle"]].met is True
    assert found[NAMES["rss_recovered"]].met is False
    assert found["event loop lag under full load, p99, ms"].met is False


def test_a_goal_without_its_figures_is_unknown_and_not_missed() -> None:
    found = {goal.name: goal.met for goal in goals(figures(results()), lag_seconds=None, most_tried=32)}
    assert found[NAMES["cpu_long"]] is None
    assert found[NAMES["streams"]] is None
    assert found["event loop lag under full load, p99, ms"] is None


def test_the_page_names_the_missing_the_errors_and_the_missed() -> None:
    given = results()
    given.missing["litellm"] = "no wheel"
    given.samples.append(sample("vllm-router", 3, "whole 8", errors={"status 503": 4}))
    found = figures(given)
    page = markdown(given, found, goals(found, 0.03), FACTS, apart=True)
    assert "litellm is missing from this run: no wheel" in page
    assert "vllm-router gave 4 answers that were errors: status 503" in page
    assert "**missed**" in page
    assert "a chip, 2 cores" in page
    assert "fewer than 2 cores" not in page
    assert "fewer than 2 cores" in markdown(given, found, goals(found, 0.03), FACTS, apart=False)


def test_a_table_shows_quartiles_where_they_differ() -> None:
    assert cell(Figure(30.0, 25.0, 35.0)) == "30 (25 to 35)"
    assert cell(Figure(512.0, 512.0, 512.0)) == "512"
    assert cell(None) == "-"
    head, rows = goal_rows(goals(figures(results()), None))
    assert {len(row) for row in rows} == {len(head)}


def test_the_chart_is_an_svg_that_says_its_figures_in_words() -> None:
    root = ET.fromstring(chart(figures(results())))
    said = root.find("{http://www.w3.org/2000/svg}desc")
    assert said is not None
    assert "CPU µs a request, 32 in flight: crossover 30" in (said.text or "")


def test_each_round_begins_with_another_system() -> None:
    orders = [turned(ALL, turn) for turn in range(len(ALL))]
    assert {order[0] for order in orders} == set(ALL)
    assert all(sorted(order) == sorted(ALL) for order in orders)


@pytest.mark.parametrize(
    ("gap_ms", "errors", "expected"), [(130.0, 0, False), (131.0, 0, True), (20.0, 1, True)], ids=["in", "gap", "error"]
)
def test_a_stall_is_a_gap_far_beyond_going_direct_or_a_stream_that_broke(
    gap_ms: float, errors: int, expected: bool
) -> None:
    assert stalled((gap_ms, errors), direct_gap_ms=30.0) is expected


def test_times_are_summed_in_milliseconds() -> None:
    assert summed([0.001, 0.002, 0.003]) == pytest.approx({"p50": 2.0, "p99": 2.98, "max": 3.0})
    assert summed([]) == {}


def test_a_long_prompt_has_exactly_its_length() -> None:
    from gateway.bench.gateway.systems import System

    told = Scenario("long", False, 16, 1, 1.0, prompt_bytes=100_000).round_for(System("direct", 1))
    assert 100_000 < len(told.body) < 100_200


_PAGE = """
crossover_event_loop_lag_seconds_bucket{le="0.001"} 50.0
crossover_event_loop_lag_seconds_bucket{le="0.01"} 98.0
crossover_event_loop_lag_seconds_bucket{le="0.02"} 100.0
crossover_event_loop_lag_seconds_bucket{le="+Inf"} 100.0
"""


def test_the_lag_is_the_99th_percentile_of_the_histogram() -> None:
    assert quantile(buckets(_PAGE), 0.99) == pytest.approx(0.015)
    assert quantile({0.001: 10.0, float("inf"): 20.0}, 0.99) == 0.001
