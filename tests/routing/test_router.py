"""The router: who can, who is quick enough, who adds least to the bill. Pure: the same inputs, the same decision."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.routing.facts import Ceiling
from tests.routing.fleets import (
    BOX_SPEED,
    CLOUD_SPEED,
    CMI,
    FULL,
    PAID,
    THREE,
    WINDOW_PRICE,
    candidate,
    chosen,
    facts,
    fleet,
    route,
    router,
    warmed,
)


def test_an_idle_box_is_chosen_before_a_window_is_opened() -> None:
    decision = router(*THREE).decide(facts(), fleet())
    assert chosen(decision) == "box"
    assert decision.reason == "cheapest_in_time"


def test_one_request_that_the_full_box_would_answer_late_opens_no_window_but_they_do_together() -> None:
    asked = warmed(router(*THREE, windows={"prewarm": 0}))
    first = asked.decide(facts(), fleet(box=FULL))
    assert chosen(first) == "box"
    assert first.warm is None
    assert candidate(first, "cmi").marginal_nanousd == WINDOW_PRICE
    warm = None
    for _ in range(1000):
        decision = asked.decide(facts(), fleet(box=FULL))
        asked.note(facts(), decision, 0.0)
        warm = warm or decision.warm
    assert warm == "cmi"


def test_an_open_window_with_room_costs_nothing_more() -> None:
    decision = router(*THREE).decide(facts(), fleet(PAID, box={"in_flight": 200}))
    assert chosen(decision) == "cmi"
    assert decision.chosen is not None
    assert decision.chosen.marginal_nanousd == 0


def test_base_weights_never_answer_a_request_that_needs_the_tuned_ones() -> None:
    decision = router(*THREE).decide(facts(), fleet(box={"up": False}, cmi={"up": False}))
    assert chosen(decision) is None
    assert decision.refusal is not None
    assert decision.refusal.status == 503
    assert "base: its answers are base, tuned is needed" in decision.refusal.message


def test_a_request_may_say_that_base_weights_are_good_enough() -> None:
    down = fleet(box={"up": False}, cmi={"up": False})
    assert chosen(router(*THREE).decide(facts(quality="base"), down)) == "base"


def test_when_nothing_is_in_time_the_policy_decides() -> None:
    asked, crowded = facts(ceiling=Ceiling(0.01)), fleet(box={"in_flight": 3})
    assert chosen(router(*THREE, when_late="fastest").decide(asked, fleet(PAID))) == "cmi"
    assert chosen(router(*THREE, when_late="cheapest").decide(asked, crowded)) == "box"
    rejected = router(*THREE, when_late="reject").decide(asked, crowded)
    assert rejected.refusal is not None
    assert rejected.refusal.status == 429
    assert rejected.refusal.retry_after_seconds is not None


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"up": False}, "it is down"),
        ({"circuit_open": True}, "it failed repeatedly and is being left alone"),
        ({"throttled_seconds": 2.0}, "it is throttled for 2.0 s more"),
        ({"in_flight": 256}, "256 requests are in flight, max_in_flight is 256"),
    ],
)
def test_a_backend_that_cannot_be_asked_is_left_out_and_says_why(state: dict[str, Any], why: str) -> None:
    decision = router(*THREE).decide(facts(ceiling=Ceiling()), fleet(box=state))
    assert chosen(decision) == "cmi"
    assert {c.backend: c.excluded for c in decision.candidates}["box"] == why


def test_a_field_that_no_backend_can_carry_is_named() -> None:
    picky = route("cmi", CLOUD_SPEED, CMI, "tuned", refuses=lambda demands, operation: demands & {"tools"})
    decision = router(picky).decide(facts(demands=frozenset({"tools", "temperature"})), fleet())
    assert decision.refusal is not None
    assert (decision.refusal.status, decision.refusal.param) == (400, "tools")


def test_embeddings_of_a_model_that_only_generates_are_a_404() -> None:
    decision = router(*THREE).decide(facts(operation="embeddings"), fleet())
    assert decision.refusal is not None
    assert (decision.refusal.status, decision.refusal.code) == (404, "model_not_found")


def test_a_prompt_that_is_surely_too_long_for_every_context_is_refused_with_the_limit() -> None:
    decision = router(*THREE).decide(facts(input_tokens=20_000, max_output_tokens=500), fleet())
    assert decision.refusal is not None
    assert decision.refusal.code == "context_length_exceeded"
    assert "8192" in decision.refusal.message


def test_a_pinned_request_goes_nowhere_else() -> None:
    decision = router(*THREE).decide(facts(pinned_backend="cmi"), fleet())
    assert [c.backend for c in decision.order] == ["cmi"]
    nowhere = router(*THREE).decide(facts(pinned_backend="moon"), fleet())
    assert nowhere.refusal is not None
    assert nowhere.refusal.status == 400


def test_an_unknown_price_is_never_the_cheapest() -> None:
    unpriced = route("box", BOX_SPEED, None, "tuned")
    decision = router(unpriced, THREE[1]).decide(facts(ceiling=Ceiling()), fleet(PAID))
    assert chosen(decision) == "cmi"
    assert decision.candidates[0].marginal_nanousd is None


def test_every_candidate_leaves_with_its_numbers_and_a_reason() -> None:
    decision = router(*THREE).decide(facts(), fleet(PAID, box={"utilization": 0.4}))
    by_name = {c.backend: c for c in decision.candidates}
    assert by_name["box"].predicted is not None
    assert by_name["box"].utilization == 0.4
    assert by_name["cmi"].window_seconds_left == 250.0
    assert all(c.why for c in decision.candidates)
