"""The main strategy: the box first, windows by regret, what can wait is held, an answer in time has its price."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from gateway.economics.prices import AmortizedCost, PerTokenCost
from gateway.routing.facts import Ceiling
from tests.routing.fleets import (
    BOX_SPEED,
    CALM,
    CLOSED,
    CLOUD_SPEED,
    CROWDED,
    FULL,
    IDLE,
    ON_BASE,
    ON_BOX,
    ON_CMI,
    PACKED,
    PAID,
    RELAXED,
    SOON,
    THREE,
    candidate,
    chosen,
    facts,
    fleet,
    route,
    router,
    warmed,
    with_requests,
)

# -- the box -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [None, "any"])
def test_an_idle_box_comes_first(quality: str | None) -> None:
    decision = router(*THREE).decide(facts(quality=quality), fleet())
    assert (chosen(decision), decision.reason) == ("box", "cheapest_in_time")


def test_of_several_boxes_the_one_that_is_in_time_is_taken() -> None:
    small = route("small", BOX_SPEED, AmortizedCost(Fraction(0)), "tuned")
    names = ("box", "small", "cmi")
    asked = router(ON_BOX, small, ON_CMI)
    assert chosen(asked.decide(facts(), fleet(names=names, box=FULL, small=CALM))) == "small"
    assert chosen(asked.decide(facts(), fleet(names=names, box=CALM, small=FULL))) == "box"


def test_a_box_whose_energy_costs_more_is_second() -> None:
    thirsty = route("thirsty", BOX_SPEED, AmortizedCost(Fraction(0), Fraction(900)), "tuned")
    decision = router(thirsty, ON_BOX).decide(facts(), fleet(names=("box", "thirsty")))
    assert [one.backend for one in decision.order] == ["box", "thirsty"]


def test_two_boxes_can_do_twice_the_demand_of_one() -> None:
    second = route("second", BOX_SPEED, AmortizedCost(Fraction(0)), "tuned")
    one, two = warmed(router(*THREE)), router(ON_BOX, second, ON_CMI, ON_BASE)
    warmed_two = fleet(names=("box", "second", "cmi", "base"))
    for number in range(200):
        two.note(facts(), two.decide(facts(), warmed_two), (number - 200) * 10.0)
    alone, together = one.decide(facts(), fleet()).notes, two.decide(facts(), warmed_two).notes
    assert alone is not None
    assert together is not None
    assert together.demand == pytest.approx(alone.demand / 2)


# -- what can wait -----------------------------------------------------------------------------------------------------


def test_what_can_wait_is_held_while_the_box_is_full() -> None:
    decision = warmed(router(*THREE)).decide(facts(ceiling=RELAXED), fleet(box=FULL))
    assert decision.reason == "held"
    assert decision.hold_seconds is not None
    assert decision.order, "whoever cannot wait after all must know whom to ask"


def test_it_is_not_held_on_a_quiet_box() -> None:
    decision = warmed(router(*THREE)).decide(facts(ceiling=RELAXED), fleet(box=CALM))
    assert (chosen(decision), decision.hold_seconds) == ("box", None)


def test_it_is_never_held_past_its_share_of_the_ceiling() -> None:
    asked, elapsed, held = warmed(router(*THREE, hold={"share_of_ceiling": 0.5})), 0.0, 0
    while True:
        request = facts(ceiling=RELAXED, elapsed_seconds=elapsed, asked_before=held > 0)
        decision = asked.decide(request, fleet(box=FULL, at=elapsed))
        if decision.hold_seconds is None:
            break
        elapsed, held = elapsed + decision.hold_seconds, held + 1
        assert elapsed <= 0.5 * 300.0
    assert held > 5
    assert elapsed > 0.4 * 300.0


@pytest.mark.parametrize(
    "changed",
    [{"ceiling": SOON}, {"ceiling": RELAXED, "may_hold": False}, {"ceiling": Ceiling()}, {"ceiling": Ceiling(20.0)}],
)
def test_who_waits_or_may_not_be_held_or_says_no_ceiling_is_not_held(changed: dict[str, Any]) -> None:
    assert warmed(router(*THREE)).decide(facts(**changed), fleet(box=FULL)).hold_seconds is None


def test_a_policy_may_hold_nobody() -> None:
    asked = warmed(router(*THREE, hold={"share_of_ceiling": 0.0}))
    assert asked.decide(facts(ceiling=RELAXED), fleet(box=FULL)).hold_seconds is None


def test_what_waits_goes_to_a_window_once_one_is_paid() -> None:
    decision = warmed(router(*THREE)).decide(facts(ceiling=RELAXED, asked_before=True), fleet(PAID, box=FULL))
    assert (chosen(decision), decision.hold_seconds) == ("cmi", None)


# -- what the base model can answer ------------------------------------------------------------------------------------


def priced(nanousd_per_token: int | None) -> Any:
    price = None if nanousd_per_token is None else Fraction(nanousd_per_token)
    return route("base", CLOUD_SPEED, PerTokenCost(price, price), "base")


def test_base_capable_traffic_leaves_a_crowded_box_for_those_who_cannot() -> None:
    asked = warmed(router(*THREE))
    assert chosen(asked.decide(facts(quality="any"), fleet(box=IDLE))) == "box"
    assert chosen(asked.decide(facts(quality="any"), fleet(box=CROWDED))) == "base"
    assert chosen(asked.decide(facts(), fleet(box=CROWDED))) == "box"


def test_it_stays_where_its_list_price_is_more_than_what_it_takes_from_them() -> None:
    dear = warmed(router(ON_BOX, ON_CMI, priced(220_000)))
    decision = dear.decide(facts(quality="any"), fleet(box=CROWDED))
    assert chosen(decision) == "box"
    box, base = candidate(decision, "box"), candidate(decision, "base")
    assert 0 < box.congestion_nanousd < (base.marginal_nanousd or 0)
    cheap = warmed(router(ON_BOX, ON_CMI, priced(1))).decide(facts(quality="any"), fleet(box=CROWDED))
    assert candidate(cheap, "box").congestion_nanousd == box.congestion_nanousd
    assert chosen(cheap) == "base"


def test_a_long_request_takes_more_from_them_than_a_short_one() -> None:
    asked = warmed(router(*THREE))
    short, long = (
        asked.decide(facts(quality="any", expected_output_tokens=tokens), fleet(box=CROWDED)) for tokens in (10, 1000)
    )
    assert candidate(long, "box").congestion_nanousd > 5 * candidate(short, "box").congestion_nanousd


def test_without_captive_traffic_a_full_box_is_left_by_whoever_would_be_late_there() -> None:
    for asked in (router(*THREE), warmed(router(*THREE), quality="any"), router(ON_BOX, ON_BASE)):
        assert chosen(asked.decide(facts(quality="any"), fleet(box=CALM))) == "box"
        assert chosen(asked.decide(facts(quality="any"), fleet(box=FULL))) == "base"


def test_an_unknown_price_is_a_last_resort() -> None:
    cheap = route("cheap", CLOUD_SPEED, PerTokenCost(Fraction(220), Fraction(220)), "base")
    names = ("box", "cmi", "base", "cheap")
    unknown = warmed(router(ON_BOX, ON_CMI, priced(None)))
    both = router(ON_BOX, ON_CMI, priced(None), cheap)
    assert chosen(unknown.decide(facts(quality="any"), fleet(box=CALM))) == "box"
    assert chosen(unknown.decide(facts(quality="any"), fleet(box=FULL))) == "base"
    assert candidate(unknown.decide(facts(quality="any"), fleet()), "base").marginal_nanousd is None
    assert chosen(both.decide(facts(quality="any"), fleet(names=names, box=FULL))) == "cheap"


# -- nobody in time ----------------------------------------------------------------------------------------------------


def test_late_anyway_is_answered_where_it_is_quickest_and_opens_nothing_by_itself() -> None:
    decision = warmed(router(*THREE)).decide(facts(), fleet(box=FULL))
    assert (chosen(decision), decision.reason) == ("box", "fastest_though_late")
    assert [one.backend for one in decision.order] == ["box", "cmi"]


def test_late_anyway_is_answered_where_it_is_cheapest() -> None:
    thirsty = route("thirsty", BOX_SPEED, AmortizedCost(Fraction(0), Fraction(900)), "tuned")
    names = ("box", "thirsty", "cmi")
    seen = fleet(names=names, box=with_requests(220), thirsty=with_requests(200))
    cheapest = router(thirsty, ON_BOX, ON_CMI, when_late="cheapest").decide(facts(), seen)
    assert (chosen(cheapest), cheapest.reason) == ("box", "cheapest_though_late")
    assert chosen(router(thirsty, ON_BOX, ON_CMI, when_late="fastest").decide(facts(), seen)) == "thirsty"


def test_late_anyway_is_refused() -> None:
    decision = warmed(router(*THREE, when_late="reject")).decide(facts(), fleet(box=FULL))
    assert decision.refusal is not None
    assert (decision.refusal.status, decision.order) == (429, ())
    assert decision.refusal.retry_after_seconds is not None


def test_late_anyway_is_answered_below_its_quality_at_once() -> None:
    asked = warmed(router(*THREE, when_late="lower_quality"))
    decision = asked.decide(facts(), fleet(box=FULL))
    assert (chosen(decision), decision.reason) == ("base", "lower_quality_though_wrong")
    assert "base" in candidate(decision, "base").why
    assert chosen(asked.decide(facts(), fleet(box=CALM))) == "box"


def test_answers_below_the_quality_needed_count_against_the_budget_in_the_choice() -> None:
    asked = warmed(router(*THREE, when_late="lower_quality"))
    decision = asked.decide(facts(), fleet(box=CALM))
    told = decision.notes
    assert told is not None
    assert candidate(decision, "base").expected_nanousd >= told.worth_nanousd


# -- fewer backends ----------------------------------------------------------------------------------------------------


def test_a_pinned_request_goes_where_it_says_whatever_it_costs() -> None:
    decision = warmed(router(*THREE)).decide(facts(pinned_backend="cmi"), fleet())
    assert ([one.backend for one in decision.order], decision.reason) == (["cmi"], "pinned")


def test_without_a_box_the_base_model_answers_what_it_can_and_a_window_is_opened_for_the_rest() -> None:
    names = ("cmi", "base")
    asked = router(ON_CMI, ON_BASE)
    assert chosen(asked.decide(facts(quality="any"), fleet(names=names))) == "base"
    assert chosen(asked.decide(facts(quality="any"), fleet(PAID, names=names))) == "cmi"
    assert chosen(asked.decide(facts(), fleet(names=names))) == "cmi"


def test_without_a_box_late_anyway_is_what_the_policy_says() -> None:
    names = ("cmi", "base")
    lower = router(ON_CMI, ON_BASE, when_late="lower_quality").decide(facts(), fleet(names=names))
    assert (chosen(lower), lower.warm) == ("base", "cmi")
    refused = router(ON_CMI, ON_BASE, when_late="reject").decide(facts(), fleet(names=names))
    assert refused.refusal is not None
    assert refused.warm == "cmi", "the next one finds a copy"


def test_a_box_that_is_down_is_no_box() -> None:
    decision = warmed(router(*THREE)).decide(facts(ceiling=Ceiling(90.0, 0.2)), fleet(box={"up": False}))
    assert chosen(decision) == "cmi"


def test_without_an_imported_model_the_box_answers_or_whoever_is_quick_enough() -> None:
    asked = warmed(router(ON_BOX, ON_BASE))
    for load in (CALM, CROWDED, FULL):
        assert chosen(asked.decide(facts(), fleet(box=load))) == "box"
    assert chosen(asked.decide(facts(quality="any"), fleet(box=FULL))) == "base"
    assert asked.decide(facts(), fleet(box=FULL)).warm is None


def test_the_only_choice_says_so() -> None:
    assert router(ON_BOX).decide(facts(), fleet()).reason == "only_choice"


def test_without_ceilings_nobody_is_late_and_the_box_answers_however_full() -> None:
    asked = warmed(router(*THREE, box={"sacrifice_weight": 0}))
    decision = asked.decide(facts(ceiling=Ceiling()), fleet(box=FULL))
    assert chosen(decision) == "box"
    assert all(one.late_chance == 0.0 for one in decision.order)


def test_embeddings_go_to_what_embeds() -> None:
    embedder = route("embedder", CLOUD_SPEED, PerTokenCost(Fraction(20), Fraction(0)), "tuned", embeddings=True)
    names = ("box", "cmi", "base", "embedder")
    decision = router(*THREE, embedder).decide(facts(operation="embeddings"), fleet(names=names))
    assert [one.backend for one in decision.order] == ["embedder"]
    chat = router(*THREE, embedder).decide(facts(), fleet(names=names))
    assert "embedder" not in [one.backend for one in chat.order]


# -- every decision ----------------------------------------------------------------------------------------------------


def test_it_is_decided_the_same_as_often_as_it_is_asked() -> None:
    asked = warmed(router(*THREE))
    for seen in (fleet(), fleet(PAID, box=CROWDED), fleet(box=FULL)):
        first = asked.decide(facts(), seen)
        assert all(asked.decide(facts(), seen) == first for _ in range(3))
        assert [one.why for one in asked.decide(facts(), seen).candidates] == [one.why for one in first.candidates]


def test_a_request_that_is_asked_about_again_is_no_new_demand() -> None:
    asked = warmed(router(*THREE))
    before = asked.memory.common.demand(0.0)
    again = facts(asked_before=True, ceiling=RELAXED)
    asked.note(again, asked.decide(again, fleet(box=FULL)), 0.0)
    assert asked.memory.common.demand(0.0) == before


@pytest.mark.parametrize(
    ("backend", "window", "says"),
    [
        ("cmi", CLOSED, "would open a window of $0.5718"),
        ("cmi", PAID, "its window is open and paid"),
        ("cmi", PACKED, "its copies are full"),
        ("base", CLOSED, "its answers are base, tuned is needed"),
        ("box", CLOSED, "in time; adds $0.000000"),
    ],
)
def test_every_candidate_says_why(backend: str, window: Any, says: str) -> None:
    assert says in candidate(router(*THREE).decide(facts(), fleet(window)), backend).why
