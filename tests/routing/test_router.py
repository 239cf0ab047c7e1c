"""The router: who can, who is quick enough, who adds least to the bill. Pure: the same inputs, the same decision."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.economics.prices import AmortizedCost, CostModel, PerTokenCost, WindowCost
from gateway.economics.windows import WindowView
from gateway.policy.schema import AliasSettings, RoutingSettings, ServedBy
from gateway.routing.decision import Decision
from gateway.routing.facts import Ceiling, RequestFacts
from gateway.routing.predict import predict
from gateway.routing.route import AliasRoutes, Route
from gateway.routing.router import Router
from gateway.routing.snapshot import BackendState, FleetSnapshot
from gateway.routing.speed import SpeedModel

BOX_SPEED = SpeedModel(0.0686, 0.00287, 32, 3000.0, 0.1, 200.0)
CLOUD_SPEED = SpeedModel(1 / 95, 0.0, 16, 10_000.0, 0.3, 1520.0)
BOX = AmortizedCost(Fraction(200 * 10**9))
CMI = WindowCost(Fraction(57_180_000), 2, Fraction(300), Fraction(300), 1, 16, 60.0)
BASE = PerTokenCost(Fraction(220), Fraction(220))
WINDOW_PRICE = CMI.nanousd_per_window

CLOSED = WindowView(0, 0, 0, 0.0, 0.0, WINDOW_PRICE)
OPEN = WindowView(1, 1, 15, 250.0, 200.0, WINDOW_PRICE)


def route(backend: str, speed: SpeedModel, cost: CostModel | None, quality: str, **changed: Any) -> Route:
    settings: dict[str, Any] = {"context_tokens": 8192, "refuses": lambda demands, operation: frozenset()}
    settings |= changed
    return Route(backend, ServedBy(backend=backend, model="m"), quality, speed, cost, **settings)


def router(*routes: Route, needs: str = "tuned", **settings: Any) -> Router:
    alias = AliasSettings(needs=needs, served_by=tuple(r.target for r in routes))
    return Router(RoutingSettings(**settings), {"domain": AliasRoutes(alias, routes)})


THREE = (
    route("box", BOX_SPEED, BOX, "tuned"),
    route("cmi", CLOUD_SPEED, CMI, "tuned"),
    route("base", CLOUD_SPEED, BASE, "base"),
)


def fleet(window: WindowView = CLOSED, **states: dict[str, Any]) -> FleetSnapshot:
    made = {
        name: BackendState(name, window=window if name == "cmi" else None, **states.get(name, {}))
        for name in ("box", "cmi", "base")
    }
    return FleetSnapshot(0.0, made, {"domain": 100.0})


def facts(**changed: Any) -> RequestFacts:
    asked: dict[str, Any] = {"alias": "domain", "operation": "chat", "input_tokens": 300, "ceiling": Ceiling(10.0, 0.2)}
    return RequestFacts(**(asked | changed))


def chosen(decision: Decision) -> str | None:
    return None if decision.chosen is None else decision.chosen.backend


def test_an_idle_box_is_chosen_before_a_window_is_opened() -> None:
    decision = router(*THREE).decide(facts(), fleet())
    assert chosen(decision) == "box"
    assert decision.reason == "cheapest_in_time"


def test_a_request_that_the_full_box_would_answer_late_opens_a_window_when_the_ceiling_allows_the_cold_start() -> None:
    full = fleet(box={"in_flight": 200})
    decision = router(*THREE).decide(facts(ceiling=Ceiling(90.0, 0.2)), full)
    assert chosen(decision) == "cmi"
    assert decision.chosen is not None
    assert decision.chosen.marginal_nanousd == WINDOW_PRICE


def test_an_open_window_with_room_costs_nothing_more() -> None:
    decision = router(*THREE).decide(facts(), fleet(OPEN, box={"in_flight": 200}))
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
    assert chosen(router(*THREE, when_late="fastest").decide(asked, fleet(OPEN))) == "cmi"
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
    decision = router(unpriced, THREE[1]).decide(facts(ceiling=Ceiling()), fleet(OPEN))
    assert chosen(decision) == "cmi"
    assert decision.candidates[0].marginal_nanousd is None


def test_every_candidate_leaves_with_its_numbers_and_a_reason() -> None:
    decision = router(*THREE).decide(facts(), fleet(OPEN, box={"utilization": 0.4}))
    by_name = {c.backend: c for c in decision.candidates}
    assert by_name["box"].predicted is not None
    assert by_name["box"].utilization == 0.4
    assert by_name["cmi"].window_seconds_left == 250.0
    assert all(c.why for c in decision.candidates)


loads = st.fixed_dictionaries({"in_flight": st.integers(0, 300), "foreign": st.integers(0, 100)})


@given(loads, loads, st.sampled_from([OPEN, CLOSED]), st.integers(1, 6000), st.booleans(), st.booleans())
def test_a_decision_keeps_every_hard_constraint(
    box: dict[str, Any], cmi: dict[str, Any], window: WindowView, tokens: int, box_up: bool, cmi_up: bool
) -> None:
    seen = fleet(window, box={**box, "up": box_up}, cmi={**cmi, "up": cmi_up})
    asked = facts(input_tokens=tokens)
    decision = router(*THREE).decide(asked, seen)
    assert decision == router(*THREE).decide(asked, seen)
    for candidate in decision.order:
        assert candidate.excluded is None
        assert candidate.backend != "base"
        state = seen.backends[candidate.backend]
        assert state.up
        assert state.in_flight < state.max_in_flight


@given(st.integers(0, 400), st.integers(0, 100), st.integers(1, 10_000), st.floats(1, 4000))
def test_predictions_are_never_negative_and_grow_with_the_load(
    in_flight: int, foreign: int, tokens: int, mean: float
) -> None:
    asked = facts(input_tokens=tokens)
    less = predict(BOX_SPEED, BackendState("box", in_flight=in_flight, foreign=foreign), asked, mean)
    more = predict(BOX_SPEED, BackendState("box", in_flight=in_flight + 1, foreign=foreign), asked, mean)
    assert 0 <= less.ttft_seconds <= more.ttft_seconds
    assert 0 < less.seconds_per_token <= more.seconds_per_token
    assert less.latency_seconds >= less.ttft_seconds
