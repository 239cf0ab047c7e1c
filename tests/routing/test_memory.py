"""What the router remembers: regret that fades, the mean work of captive requests, what the box was given lately."""

from __future__ import annotations

import pytest

from gateway.policy.schema import RoutingSettings
from gateway.routing.decision import Circumstances
from gateway.routing.memory import Memory
from gateway.routing.shared_state import InProcess


def memory(**settings: object) -> Memory:
    return Memory(RoutingSettings.model_validate(settings))


def with_regret(nanousd: float) -> Circumstances:
    return Circumstances(0.0, True, 0.5, 0.5, 0.1, regret_backend="cmi", regret_nanousd=nanousd)


def test_regret_is_remembered_by_backend_and_fades() -> None:
    kept = memory(windows={"regret_seconds": 200})
    assert kept.regret("cmi", 5.0) == 0.0
    kept.noted(with_regret(1000.0), 10.0)
    assert kept.regret("cmi", 10.0) == 1000.0
    assert kept.regret("cmi", 210.0) == pytest.approx(1000.0 / 2.718281828)
    assert kept.regret("other", 10.0) == 0.0


def test_a_decision_that_says_nothing_of_regret_leaves_it() -> None:
    kept = memory()
    kept.noted(with_regret(1000.0), 10.0)
    kept.noted(Circumstances(0.0, True, 0.5, 0.5, 0.1), 10.0)
    assert kept.regret("cmi", 10.0) == 1000.0
    kept.noted(with_regret(0.0), 10.0)
    assert kept.regret("cmi", 10.0) == 0.0


def test_the_mean_work_is_of_all_at_first_and_then_of_about_the_last_thousand() -> None:
    kept = memory()
    for seconds in (1.0, 2.0, 3.0):
        kept.demanded(300, 100.0, seconds, 0.0)
    assert kept.work_seconds == pytest.approx(2.0)
    for _ in range(10_000):
        kept.demanded(300, 100.0, 5.0, 0.0)
    assert kept.work_seconds == pytest.approx(5.0, rel=0.001)


def test_where_there_is_no_box_there_is_no_work() -> None:
    kept = memory()
    kept.demanded(300, 100.0, 0.0, 0.0)
    assert kept.work_seconds == 0.0
    assert kept.common.demand(0.0).requests > 0


def test_requests_sent_to_the_box_are_counted_for_a_minute() -> None:
    kept = memory()
    assert kept.taken_last_minute(0.0) == 0
    for second in range(100):
        kept.took(float(second))
    assert kept.taken_last_minute(99.0) == 60
    assert kept.taken_last_minute(300.0) == 0


def test_a_turned_away_request_marks_what_led_to_it() -> None:
    calm, over = memory(), memory()
    for second in range(30):
        for kept in (calm, over):
            kept.noted(Circumstances(0.0, True, 0.5, 0.5, 0.1), float(second))
    over.noted(Circumstances(0.0, True, 0.5, 0.5, 0.1, turned_away=True), 30.0)
    assert over.congestion.chance(0.5, 0.5) > calm.congestion.chance(0.5, 0.5)


def test_verdicts_of_other_gateways_move_the_budget_too() -> None:
    settings = RoutingSettings()
    shared = InProcess(120.0)
    here, there = Memory(settings, shared), Memory(settings, shared)
    for _ in range(10):
        there.ended(True)
    here.ended(False)
    assert (here.budget.ended, here.budget.bad) == (11, 10)
    assert here.budget.worth(1e9, 300.0, 1.0) > Memory(settings).budget.worth(1e9, 300.0, 1.0)
