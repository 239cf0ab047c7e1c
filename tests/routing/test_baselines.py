"""The simpler policies that replays compare with, each in a line or two."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from gateway.economics.prices import AmortizedCost, PerTokenCost
from gateway.routing.facts import Ceiling
from gateway.routing.predict import DEFAULT_OUTPUT_TOKENS
from tests.routing.fleets import (
    BOX_SPEED,
    CALM,
    CLOUD_SPEED,
    CROWDED,
    FULL,
    IDLE,
    ON_BASE,
    ON_BOX,
    ON_CMI,
    PAID,
    RELAXED,
    THREE,
    chosen,
    facts,
    fleet,
    route,
    router,
    with_requests,
)

BASELINES = ("box-only", "imported-only", "spill", "least-busy", "lowest-cost", "ceiling-greedy")


def of(strategy: str, seen: Any, **asked: Any) -> str | None:
    return chosen(router(*THREE, strategy=strategy).decide(facts(**asked), seen))


@pytest.mark.parametrize("quality", [None, "any"])
def test_box_only_sends_all_to_the_box_however_late(quality: str | None) -> None:
    assert of("box-only", fleet(box=IDLE), quality=quality) == "box"
    assert of("box-only", fleet(PAID, box=FULL), quality=quality) == "box"


def test_box_only_takes_the_quicker_of_two_boxes() -> None:
    second = route("second", BOX_SPEED, AmortizedCost(Fraction(0)), "tuned")
    seen = fleet(names=("box", "second"), box=CROWDED, second=CALM)
    assert chosen(router(ON_BOX, second, strategy="box-only").decide(facts(), seen)) == "second"


@pytest.mark.parametrize("quality", [None, "any"])
def test_imported_only_sends_all_to_the_imported_model(quality: str | None) -> None:
    assert of("imported-only", fleet(box=IDLE), quality=quality) == "cmi"


def test_spill_goes_by_the_number_of_requests_on_the_box_and_nothing_else() -> None:
    assert of("spill", fleet(box=with_requests(31))) == "box"
    assert of("spill", fleet(box=with_requests(32))) == "cmi"
    assert of("spill", fleet(box=with_requests(32)), quality="any") == "base"


def test_least_busy_goes_where_fewest_requests_are() -> None:
    assert of("least-busy", fleet(PAID, box=CALM)) == "cmi"
    assert of("least-busy", fleet(PAID, box=IDLE)) == "box"
    assert of("least-busy", fleet(box=CALM, base={"in_flight": 9}), quality="any") == "cmi"


def test_lowest_cost_fills_the_box_up_to_a_rate_and_sends_the_rest_away() -> None:
    asked, sent = router(*THREE, strategy="lowest-cost"), []
    for number in range(400):
        seen = fleet(at=number * 0.1)
        decision = asked.decide(facts(), seen)
        asked.note(facts(), decision, seen.at)
        sent.append(chosen(decision))
    seconds = 600 / BOX_SPEED.prompt_tokens_per_second + DEFAULT_OUTPUT_TOKENS * BOX_SPEED.step(32) / 32
    assert sent[: int(60 / seconds)] == ["box"] * int(60 / seconds)
    assert set(sent[int(60 / seconds) + 1 :]) == {"cmi"}
    assert chosen(asked.decide(facts(), fleet(at=400.0))) == "box"
    assert chosen(asked.decide(facts(quality="any"), fleet(at=40.0))) == "base"


def test_ceiling_greedy_takes_the_box_while_it_is_predicted_in_time_and_pays_anything_else_for_the_rest() -> None:
    assert of("ceiling-greedy", fleet(box=CROWDED)) == "box"
    assert of("ceiling-greedy", fleet(box=FULL)) == "cmi"
    assert of("ceiling-greedy", fleet(box=FULL), quality="any") == "base"
    assert of("ceiling-greedy", fleet(box=FULL), ceiling=RELAXED) == "box"
    assert of("ceiling-greedy", fleet(box=FULL), ceiling=RELAXED, elapsed_seconds=290.0) == "cmi"
    assert of("ceiling-greedy", fleet(box=FULL), ceiling=Ceiling()) == "box"
    assert of("ceiling-greedy", fleet(box=CALM), ceiling=Ceiling(latency_seconds=1.0)) == "cmi"


def test_the_cloud_is_the_cheapest_that_is_paid_by_the_token() -> None:
    dear = route("dear", CLOUD_SPEED, PerTokenCost(Fraction(900), Fraction(900)), "base")
    seen = fleet(names=("box", "dear", "base"), box=FULL)
    for strategy in ("spill", "ceiling-greedy"):
        assert chosen(router(ON_BOX, dear, ON_BASE, strategy=strategy).decide(facts(quality="any"), seen)) == "base"


@pytest.mark.parametrize("strategy", BASELINES)
@pytest.mark.parametrize("load", [IDLE, CROWDED, FULL])
def test_none_of_them_holds_or_warms_or_goes_below_the_quality_needed(strategy: str, load: dict[str, Any]) -> None:
    asked = router(*THREE, strategy=strategy, when_late="lower_quality")
    for ceiling in (Ceiling(), RELAXED, Ceiling(0.01)):
        decision = asked.decide(facts(ceiling=ceiling), fleet(box=load))
        assert (decision.hold_seconds, decision.warm) == (None, None)
        assert "base" not in [one.backend for one in decision.order]


@pytest.mark.parametrize("strategy", BASELINES)
def test_each_makes_do_with_what_there_is(strategy: str) -> None:
    for routes in ((ON_BOX,), (ON_CMI,), (ON_BASE,), (ON_BOX, ON_BASE), (ON_CMI, ON_BASE), (ON_BOX, ON_CMI)):
        asked = router(*routes, strategy=strategy)
        for load in (IDLE, FULL):
            decision = asked.decide(facts(quality="any"), fleet(box=load))
            assert decision.refusal is None
            assert sorted(one.backend for one in decision.order) == sorted(one.backend for one in routes)
            asked.note(facts(quality="any"), decision, 0.0)


@pytest.mark.parametrize("strategy", BASELINES)
def test_a_pinned_request_goes_where_it_says(strategy: str) -> None:
    decision = router(*THREE, strategy=strategy).decide(facts(pinned_backend="cmi"), fleet())
    assert ([one.backend for one in decision.order], decision.reason) == (["cmi"], "pinned")
