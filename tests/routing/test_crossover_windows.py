"""When the main strategy opens a window, who uses it, and when it is left to close."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import pytest

from gateway.economics.prices import WindowCost
from gateway.routing.decision import Decision
from gateway.routing.router import Router
from tests.routing.fleets import (
    CALM,
    CROWDED,
    FULL,
    IDLE,
    ON_BASE,
    ON_BOX,
    ON_CMI,
    PACKED,
    PAID,
    THREE,
    UP,
    WINDOW_PRICE,
    candidate,
    chosen,
    facts,
    fleet,
    router,
    warmed,
    with_requests,
)

NO_PREWARM: dict[str, Any] = {"windows": {"prewarm": 0}}


def asked_until_opened(asked: Router, seen: Any, most: int = 10_000) -> list[Decision]:
    """The same captive request again and again at one moment, until a decision opens a window. All of them."""
    decisions: list[Decision] = []
    while len(decisions) < most:
        decision = asked.decide(facts(), seen)
        asked.note(facts(), decision, seen.at)
        decisions.append(decision)
        if decision.warm is not None or chosen(decision) == "cmi":
            return decisions
    raise AssertionError(f"no window was opened in {most} decisions")


def test_a_captive_request_that_the_box_turns_away_adds_its_worth_to_the_regret() -> None:
    asked, seen = warmed(router(*THREE, **NO_PREWARM)), fleet(box=FULL)
    first = asked.decide(facts(), seen).notes
    assert first is not None
    assert first.turned_away
    assert first.captive
    assert first.regret_backend == "cmi"
    assert first.regret_nanousd == pytest.approx(first.worth_nanousd)
    assert first.threshold_nanousd > first.regret_nanousd


def test_a_window_opens_exactly_when_the_regret_reaches_the_threshold() -> None:
    asked, seen = warmed(router(*THREE, **NO_PREWARM)), fleet(box=FULL)
    *before, opening = asked_until_opened(asked, seen)
    assert len(before) > 3
    regret = 0.0
    for decision in before:
        notes = decision.notes
        assert notes is not None
        assert decision.warm is None
        assert chosen(decision) != "cmi"
        regret += notes.worth_nanousd
        assert notes.regret_nanousd == pytest.approx(regret)
        assert regret < notes.threshold_nanousd
    assert opening.notes is not None
    assert opening.warm == "cmi"
    assert regret + opening.notes.worth_nanousd >= opening.notes.threshold_nanousd * (1 - 1e-9)
    assert opening.notes.regret_nanousd == 0.0
    assert asked.memory.regret("cmi", seen.at) == 0.0


def test_a_window_is_opened_sooner_where_the_forecast_says_that_it_pays() -> None:
    knobs = {"windows": {"prewarm": 0, "eager": 0.25, "patient": 1.5}}
    seen = fleet(box=FULL)
    quiet = asked_until_opened(warmed(router(*THREE, **knobs), every_seconds=1000.0), seen)
    busy = asked_until_opened(warmed(router(*THREE, **knobs), count=2000, every_seconds=0.25), seen)
    assert len(busy) < len(quiet)
    told = busy[0].notes
    assert told is not None
    assert told.demand > 1.0
    assert told.forecast_saved * told.worth_nanousd > WINDOW_PRICE


def test_regret_that_has_faded_opens_nothing() -> None:
    asked = warmed(router(*THREE, **NO_PREWARM))
    for number in range(100):
        seen = fleet(box=FULL, at=number * 10_000.0)
        decision = asked.decide(facts(), seen)
        asked.note(facts(), decision, seen.at)
        assert decision.warm is None
        assert chosen(decision) != "cmi"


def test_a_late_request_that_the_base_model_can_answer_adds_no_regret() -> None:
    asked = warmed(router(*THREE))
    decision = asked.decide(facts(quality="any"), fleet(box=FULL))
    assert chosen(decision) == "base"
    assert decision.notes is not None
    assert decision.notes.regret_backend is None


def test_while_a_copy_starts_no_other_is_opened_and_nothing_is_regretted() -> None:
    seen = fleet(box=FULL, cmi={"restoring_seconds": 30.0, "copies_starting": 1})
    decision = warmed(router(*THREE)).decide(facts(), seen)
    assert decision.warm is None
    assert decision.notes is not None
    assert decision.notes.regret_backend is None


def test_a_copy_that_will_be_up_in_time_is_waited_for() -> None:
    seen = fleet(box=FULL, cmi={"restoring_seconds": 3.0, "copies_starting": 1})
    decision = warmed(router(*THREE)).decide(facts(), seen)
    assert (chosen(decision), decision.reason) == ("cmi", "window_pays")
    too_late = fleet(box=FULL, cmi={"restoring_seconds": 30.0, "copies_starting": 1})
    assert chosen(warmed(router(*THREE)).decide(facts(), too_late)) == "box"


def test_a_paid_window_is_used_by_captive_requests_once_the_box_has_some_load() -> None:
    asked = warmed(router(*THREE, windows={"ride_load": 0.2}))
    assert chosen(asked.decide(facts(), fleet(PAID, box=CALM))) == "box"
    ridden = asked.decide(facts(), fleet(PAID, box=with_requests(10)))
    assert (chosen(ridden), ridden.reason) == ("cmi", "window_is_paid")
    assert candidate(ridden, "cmi").marginal_nanousd == 0


def test_a_paid_window_is_used_by_others_only_when_the_box_is_loaded() -> None:
    asked = warmed(router(*THREE, windows={"ride_load": 0.2}))
    assert chosen(asked.decide(facts(quality="any"), fleet(PAID, box=with_requests(10)))) == "box"
    assert chosen(asked.decide(facts(quality="any"), fleet(PAID, box=CROWDED))) == "cmi"


def test_past_the_free_span_the_box_comes_first_and_the_window_closes_by_neglect() -> None:
    asked = warmed(router(*THREE))
    for load in (IDLE, CALM, with_requests(16)):
        assert chosen(asked.decide(facts(), fleet(UP, box=load))) == "box"


def test_a_window_is_extended_by_regret_too_and_more_readily_than_it_is_opened() -> None:
    asked = router(*THREE, windows={"prewarm": 0, "extend": 0.1, "eager": 0.25})
    opened = asked_until_opened(warmed(asked, every_seconds=0.25), fleet(box=FULL))
    asked = router(*THREE, windows={"prewarm": 0, "extend": 0.1, "eager": 0.25})
    extended = asked_until_opened(warmed(asked, every_seconds=0.25), fleet(UP, box=FULL))
    assert len(extended) < len(opened)
    assert (chosen(extended[-1]), extended[-1].reason, extended[-1].warm) == ("cmi", "window_pays", None)


@pytest.mark.parametrize("may_hold", [True, False])
@pytest.mark.parametrize("load", [CALM, CROWDED, FULL])
def test_no_call_goes_to_full_copies(load: dict[str, Any], may_hold: bool) -> None:
    decision = warmed(router(*THREE)).decide(facts(may_hold=may_hold), fleet(PACKED, box=load))
    assert chosen(decision) != "cmi" or decision.hold_seconds is not None
    assert may_hold or decision.hold_seconds is None


def test_who_would_be_late_at_the_box_waits_a_moment_for_room_in_a_paid_window() -> None:
    decision = warmed(router(*THREE)).decide(facts(), fleet(PACKED, box=FULL))
    assert decision.reason == "held"
    assert decision.hold_seconds is not None
    assert 0 < decision.hold_seconds < 1
    short = warmed(router(*THREE)).decide(facts(elapsed_seconds=9.0), fleet(PACKED, box=FULL))
    assert short.hold_seconds is None


def test_a_copy_is_started_before_anybody_is_late_where_demand_is_far_above_the_box() -> None:
    asked = warmed(router(*THREE, windows={"prewarm": 4.0}), count=2000, every_seconds=0.1)
    ahead = asked.decide(facts(), fleet(box=CALM))
    assert (chosen(ahead), ahead.warm) == ("box", "cmi")
    assert asked.decide(facts(), fleet(UP, box=CALM)).warm is None
    assert asked.decide(facts(asked_before=True), fleet(box=CALM)).warm is None
    assert warmed(router(*THREE, windows={"prewarm": 0})).decide(facts(), fleet(box=CALM)).warm is None


def test_a_tail_that_is_billed_makes_opening_dearer() -> None:
    alone = msgspec.structs.replace(ON_CMI, cost=_with_tail(False))
    with_tail = asked_until_opened(warmed(router(*THREE, **NO_PREWARM)), fleet(box=FULL))
    without = asked_until_opened(warmed(router(ON_BOX, alone, ON_BASE, **NO_PREWARM)), fleet(box=FULL))
    assert len(without) < len(with_tail)


def _with_tail(billed: bool) -> WindowCost:
    return WindowCost(Fraction(57_180_000), 2, Fraction(300), Fraction(300), 1, 16, 60.0, billed)


def test_the_more_of_the_budget_is_gone_the_sooner_a_window_opens() -> None:
    saving, spending = warmed(router(*THREE, **NO_PREWARM)), warmed(router(*THREE, **NO_PREWARM))
    for number in range(5000):
        saving.ended(facts(), False, 0.0)
        spending.ended(facts(), number % 20 == 0, 0.0)
    seen = fleet(box=FULL)
    assert len(asked_until_opened(spending, seen)) < len(asked_until_opened(saving, seen))
