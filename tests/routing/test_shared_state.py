"""What gateways share: verdicts are counted, demand is a rate that fades, and alone there is nobody elsewhere."""

from __future__ import annotations

import pytest

from gateway.routing.shared_state import NOTHING_ELSEWHERE, Demand, InProcess
from tests.routing.fleets import BOX_SPEED

SECONDS = 120.0


def steady(per_second: float, seconds: float) -> InProcess:
    common, count = InProcess(SECONDS), round(per_second * seconds)
    for number in range(count):
        common.demanded(300, 100.0, (number + 1) / per_second)
    return common


def test_verdicts_are_counted() -> None:
    common = InProcess(SECONDS)
    for bad in (True, False, False, True):
        common.verdict(bad)
    assert common.verdicts() == (4, 2)


def test_demand_comes_near_the_rate_at_which_it_comes() -> None:
    demand = steady(2.0, 1200.0).demand(1200.0)
    assert demand.requests == pytest.approx(2.0, rel=0.01)
    assert demand.prompt_tokens == pytest.approx(600.0, rel=0.01)
    assert demand.output_tokens == pytest.approx(200.0, rel=0.01)


def test_without_news_it_fades_by_its_time_constant() -> None:
    common = steady(2.0, 1200.0)
    now, later = common.demand(1200.0), common.demand(1200.0 + SECONDS)
    assert later.requests == pytest.approx(now.requests / 2.718281828, rel=1e-6)


def test_asking_changes_nothing_and_a_clock_that_steps_back_makes_nothing_of_it() -> None:
    common = steady(2.0, 600.0)
    now = common.demand(600.0)
    common.demand(10_000.0)
    assert common.demand(600.0) == now
    assert common.demand(0.0) == now


def test_alone_there_is_no_demand_and_nobody_elsewhere() -> None:
    common = InProcess(SECONDS)
    assert common.demand(5.0) == Demand()
    assert common.verdicts() == (0, 0)
    assert common.elsewhere("box") == NOTHING_ELSEWHERE


def test_the_work_of_a_demand_is_over_what_the_boxes_can_do_together() -> None:
    demand = Demand(1.0, 300.0, 100.0)
    seconds = 300 / BOX_SPEED.prompt_tokens_per_second + 100 * BOX_SPEED.step(32) / 32
    assert demand.over([BOX_SPEED]) == pytest.approx(seconds)
    assert demand.over([BOX_SPEED, BOX_SPEED]) == pytest.approx(seconds / 2)
    assert demand.over([]) == 0.0
    assert Demand().over([BOX_SPEED]) == 0.0
