"""A decision told: dollars, units in the names, the circumstances, and a sentence a person understands."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from gateway.routing.decision import Circumstances
from gateway.routing.explanation import explanation, sentence
from tests.routing.fleets import FULL, PAID, THREE, WINDOW_PRICE, facts, fleet, router, warmed


def told(decision: Any, shown: Any) -> dict[str, Any]:
    return explanation(facts(), shown, decision)


def test_each_candidate_says_how_likely_it_is_late_and_what_it_is_expected_to_cost_in_dollars() -> None:
    shown = fleet(box=FULL)
    decision = warmed(router(*THREE)).decide(facts(), shown)
    by_name = {one["backend"]: one for one in told(decision, shown)["candidates"]}
    assert by_name["cmi"]["marginal_usd"] == pytest.approx(WINDOW_PRICE / 1e9)
    for one in by_name.values():
        if one["excluded"] is None:
            assert 0 <= one["late_chance"] <= 1
            assert one["expected_usd"] >= one["marginal_usd"] + one["congestion_usd"] >= 0
        else:
            assert (one["expected_usd"], one["late_chance"]) == (None, None)


def test_the_circumstances_are_told_with_the_regret_and_what_opens_a_window() -> None:
    shown = fleet(box=FULL)
    decision = warmed(router(*THREE, windows={"prewarm": 0})).decide(facts(), shown)
    now = told(decision, shown)["circumstances"]
    assert now["captive"] is True
    assert now["answer_in_time_worth_usd"] > 0
    assert now["box_requests_over_batch"] > 1
    assert 0 <= now["overload_chance"] <= 1
    assert now["window_regret"]["backend"] == "cmi"
    assert 0 < now["window_regret"]["regret_usd"] < now["window_regret"]["opens_at_usd"]


def test_where_no_window_was_thought_of_no_regret_is_told() -> None:
    shown = fleet()
    assert told(router(*THREE).decide(facts(), shown), shown)["circumstances"]["window_regret"] is None


def test_a_window_that_is_paid_is_the_reason_given() -> None:
    shown = fleet(PAID, box=FULL)
    decision = router(*THREE).decide(facts(), shown)
    assert decision.reason == "window_is_paid"
    assert sentence(decision) == "A window of cmi is open and paid: there the call adds nothing to the bill."


def test_a_window_that_pays_and_a_copy_that_starts_already_are_told_apart() -> None:
    decision = structs.replace(router(*THREE).decide(facts(), fleet(PAID, box=FULL)), reason="window_pays")
    opened = structs.replace(decision, notes=Circumstances(1e7, True, 1.2, 1.1, 0.3, True, "cmi", 0.0, 5e6, 4.0))
    assert "worth more than it costs" in sentence(opened)
    assert sentence(structs.replace(decision, notes=Circumstances(1e7, True, 1.2, 1.1, 0.3))) == (
        "A copy of cmi is starting already, and will be up in time."
    )


def test_a_hold_says_how_long() -> None:
    decision = structs.replace(router(*THREE).decide(facts(), fleet()), reason="held", hold_seconds=15.0)
    assert sentence(decision) == "It can wait, and a cheaper moment may come: asked again in 15 s."
    assert told(decision, fleet())["chosen"] is None
