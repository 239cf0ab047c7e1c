"""The plan made in hindsight: it keeps the budget, at a price between the bound and the routers'."""

from __future__ import annotations

import pytest

from gateway.replay.bound import lower_bound
from gateway.replay.hindsight import NoPlanError, PlannedRouter, hindsight
from gateway.replay.requests import draw
from gateway.replay.setting import Setting
from gateway.replay.world import simulate
from tests.replay.test_world import busy_hour
from tests.replay.worlds import WINDOW_NANOUSD, policy, requests, setting


def test_it_keeps_the_budget_and_costs_no_less_than_the_bound() -> None:
    lab, world = policy(), setting()
    made = draw(busy_hour(), lab.replay, lab.aliases, box=world.box, load=1.5)
    found = hindsight(made, world, bad_share=0.03)
    assert found.kept
    assert found.run.bad.mean() <= 0.03
    assert found.plan
    assert found.run.variable_nanousd / 1e9 >= lower_bound(made, world).variable_usd(float(found.run.bad.mean()))
    greedy = simulate(made, world.router(strategy="imported-only"), world, name="imported-only")
    assert found.run.usd_per_month < greedy.usd_per_month


def test_a_budget_that_one_copy_cannot_keep_is_said_not_to_be_kept() -> None:
    world = setting(cmi={"concurrency_per_copy": 1})
    crowd = requests(*((0.1 * i, 300, 100) for i in range(400)))
    found = hindsight(crowd, world, bad_share=0.01)
    assert not found.kept
    assert found.run.bad.mean() > 0.01


def test_nothing_is_opened_when_the_box_does_it_alone() -> None:
    found = hindsight(requests(*((60.0 * i, 300, 50) for i in range(60))), setting())
    assert (found.plan, found.kept, found.run.variable_nanousd) == ((), True, 0)


def test_a_planned_window_is_warm_when_it_opens() -> None:
    world = setting()
    crowd = [(600 + 0.05 * i, 300, 100) for i in range(200)]
    made = requests(*((10.0 * i, 10, 2) for i in range(90)), *crowd)
    run = simulate(made, PlannedRouter([(600.0, 900.0)], world), world, name="planned")
    assert [window.opens_s for window in run.windows] == [pytest.approx(600.0), pytest.approx(900.0)]
    assert run.warm_calls == 1
    assert sum(window.calls for window in run.windows) > 100
    assert run.windows[0].nanousd == WINDOW_NANOUSD


def test_more_rounds_mend_more() -> None:
    lab, world = policy(), setting()
    made = draw(busy_hour(), lab.replay, lab.aliases, box=world.box, load=1.5)
    first, last = hindsight(made, world, bad_share=0.0, rounds=1), hindsight(made, world, bad_share=0.0, rounds=4)
    assert first.plan == ()
    assert last.run.bad.sum() < first.run.bad.sum()


def test_without_an_imported_model_there_is_no_plan_to_make() -> None:
    world = setting()
    alone = Setting(tuple(p for p in world.places if p.name != "cmi"), world.aliases, world.routing)
    with pytest.raises(NoPlanError, match="no backend of the policy is billed by the window"):
        hindsight(requests((0.0, 1, 1)), alone)
