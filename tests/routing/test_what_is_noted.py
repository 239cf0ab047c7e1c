"""Of a decision that is acted upon, only what tells of captive demand and of a box's load is remembered."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.policy.schema import AliasSettings, RoutingSettings
from gateway.routing.facts import Ceiling, RequestFacts
from gateway.routing.route import AliasRoutes
from gateway.routing.router import Router
from tests.routing.fleets import BOX, BOX_SPEED, THREE, facts, fleet, route, router


def note(asked: Router, request: RequestFacts, at: float, **states: Any) -> None:
    seen = fleet(at=at, **states)
    asked.note(request, asked.decide(request, seen), at)


def test_embeddings_are_no_demand_that_a_window_could_take() -> None:
    embeds = route("box", BOX_SPEED, BOX, "tuned", embeddings=True)
    asked = Router(
        RoutingSettings(),
        {
            "domain": AliasRoutes(AliasSettings(needs="tuned", served_by=tuple(r.target for r in THREE)), THREE),
            "embed": AliasRoutes(AliasSettings(needs="tuned", served_by=(embeds.target,)), (embeds,)),
        },
    )
    for number in range(600):
        request = RequestFacts(alias="embed", operation="embeddings", input_tokens=300, ceiling=Ceiling())
        note(asked, request, number / 10)
    decision = asked.decide(facts(), fleet(at=60.0))
    assert decision.notes is not None
    assert (decision.notes.demand, decision.warm) == (0.0, None)


def test_nor_are_requests_that_name_their_backend() -> None:
    asked = router(*THREE)
    for number in range(600):
        note(asked, facts(quality="any", pinned_backend="box"), number / 10)
    decision = asked.decide(facts(), fleet(at=60.0))
    assert decision.notes is not None
    assert (decision.notes.demand, decision.warm) == (0.0, None)


@pytest.mark.parametrize("box", [{"in_flight": 32, "max_in_flight": 32}, {"up": False}, {"throttled_seconds": 1.0}])
def test_a_box_that_cannot_be_asked_is_not_taken_for_an_idle_one(box: dict[str, Any]) -> None:
    asked = router(*THREE)
    idle = asked.memory.congestion.chance(0.0, 0.0)
    for number in range(120):
        note(asked, facts(quality="any"), float(number), box=box)
        if number % 10 == 9:  # a captive one is turned away: an overload, and not of an idle box
            note(asked, facts(), number + 0.5, box={"in_flight": 200, "decoding": 32})
    assert asked.memory.congestion.chance(0.0, 0.0) == idle
