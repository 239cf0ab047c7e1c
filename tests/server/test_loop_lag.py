"""How late the event loop is: looked at all the time, and a pause counts for as long as it lasted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from gateway.server.loop_lag import MOST_MISSED, STEP_SECONDS, LoopLag
from tests.gateway_process import GatewayProcess
from tests.server.fleets import one


def test_a_pause_weighs_as_much_as_it_was_long() -> None:
    seen: list[float] = []
    lag = LoopLag(seen.append)
    lag.late_by(0.0004)
    assert seen == [0.0004]
    lag.late_by(4.5 * STEP_SECONDS)
    assert seen[1:] == pytest.approx([n * STEP_SECONDS for n in (4.5, 3.5, 2.5, 1.5, 0.5)])
    assert lag.worst() == 4.5 * STEP_SECONDS
    assert lag.worst() == 0.0


def test_a_timer_that_fires_early_is_not_late_and_an_hour_asleep_is_bounded() -> None:
    seen: list[float] = []
    lag = LoopLag(seen.append)
    lag.late_by(-0.001)
    assert seen == [0.0]
    lag.late_by(3600.0)
    assert len(seen) == 2 + MOST_MISSED


async def test_it_looks_until_it_is_stopped_and_sees_a_loop_that_is_kept_waiting() -> None:
    seen: list[float] = []
    lag = LoopLag(seen.append)
    lag.start()
    while len(seen) < 3:
        await asyncio.sleep(STEP_SECONDS)
    time.sleep(8 * STEP_SECONDS)
    await asyncio.sleep(0)
    while max(seen) < 6 * STEP_SECONDS:
        await asyncio.sleep(STEP_SECONDS)
    assert lag.worst() >= 6 * STEP_SECONDS
    lag.stop()
    looks = len(seen)
    await asyncio.sleep(3 * STEP_SECONDS)
    assert len(seen) == looks


def test_the_histogram_is_on_the_metrics_page(start_gateway: Callable[..., GatewayProcess]) -> None:
    gateway = start_gateway(**one("http://127.0.0.1:9/v1"))
    while gateway.metric("crossover_event_loop_lag_seconds_count") < 3:
        time.sleep(0.02)
    assert gateway.metric('crossover_event_loop_lag_seconds_bucket{le="+Inf"}') >= 3
