"""A burst against a real vLLM and the sandbox's imported model in scaled time: box first, a window opened when the box
could not, filled while it is free, left to close; and every dollar on both books. The ten minutes of it are
`python -m benchmarks.choreography`."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks.choreography.burst import TRACE, read_burst
from benchmarks.choreography.drawing import timeline
from benchmarks.choreography.play import play
from benchmarks.choreography.stage import ServedBox, set_up
from benchmarks.choreography.verdicts import verdicts
from benchmarks.traces.make_burst import QUIET_FROM, RAMP_FROM, SECONDS, rows
from gateway.demo.measure import measure_box
from tests.vllm_fixture import RunningVllm

PLAYED_SECONDS = 75.0
LOAD = 4.0
"""Peak demand over what the box was measured to do just before; six tenths of it is for tuned answers."""


def test_the_trace_is_the_one_that_its_maker_makes() -> None:
    with TRACE.open(encoding="utf-8", newline="") as file:
        _, *written = csv.reader(file)
    assert written == [[str(value) for value in row] for row in rows()]


@pytest.mark.parametrize("seconds", [75.0, 600.0])
def test_thinned_it_keeps_its_length_and_asks_for_what_was_wanted(seconds: float) -> None:
    burst = read_burst(seconds, 80.0)
    assert burst.peak_tokens_per_second == pytest.approx(80.0, rel=0.15)
    assert 0.8 * seconds < burst.requests[-1].at_seconds <= seconds
    assert {request.alias for request in burst.requests} == {"tuned", "base"}
    assert {request.stream for request in burst.requests} == {True, False}


@pytest.mark.vllm
async def test_the_burst_is_danced_in_order(vllm_server: RunningVllm, tmp_path: Path) -> None:
    box = ServedBox(vllm_server.base_url, vllm_server.tuned_model, vllm_server.base_model, "vllm (cpu)")
    speed = await measure_box(box.base_url, box.tuned_model)
    burst = read_burst(PLAYED_SECONDS, LOAD * speed.together)
    with set_up(box, speed, tmp_path) as stage:
        performance = await play(stage, burst)
    scale = PLAYED_SECONDS / SECONDS
    found = verdicts(performance, 12.0, quiet_until=RAMP_FROM * scale, quiet_from=QUIET_FROM * scale)
    assert [(verdict.step, verdict.seen) for verdict in found if not verdict.kept] == []
    assert timeline(performance, PLAYED_SECONDS, "A burst").count("<circle") == len(burst.requests)
