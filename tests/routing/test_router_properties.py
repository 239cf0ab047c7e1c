"""What holds of every decision, whatever the policy, the fleet, the request and what the router has lived through."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf, isfinite
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.economics.prices import AmortizedCost, CostModel, PerTokenCost, ProvisionedCost, WindowCost
from gateway.economics.windows import WindowView
from gateway.policy.schema import AliasSettings, RoutingSettings, ServedBy
from gateway.routing.decision import Decision
from gateway.routing.eligibility import CERTAIN_SHARE
from gateway.routing.facts import Ceiling, RequestFacts
from gateway.routing.predict import predict
from gateway.routing.route import AliasRoutes, Route
from gateway.routing.router import Router
from gateway.routing.snapshot import BackendState, FleetSnapshot, LatencyCorrection
from gateway.routing.speed import SpeedModel
from gateway.routing.strategies.crossover import NEGLIGIBLE_NANOUSD, ROOM_WAIT_SECONDS

BOX_SPEED = SpeedModel(0.0686, 0.00287, 32, 3000.0, 0.1, 200.0)
CLOUD_SPEED = SpeedModel(1 / 95, 0.0, 16, 10_000.0, 0.3, 1520.0, 0.0)
STRATEGIES = ("crossover", "box-only", "imported-only", "spill", "least-busy", "lowest-cost", "ceiling-greedy")
WHEN_LATE = ("fastest", "cheapest", "reject", "lower_quality")
FIELDS = frozenset({"tools", "logprobs"})
unhurried = settings(deadline=None, max_examples=60, derandomize=True)
"""How long an example takes says nothing: the machine may be busy."""


@dataclass(frozen=True)
class Place:
    """One backend, its price a number that can be raised."""

    name: str
    kind: str
    quality: str
    price: int
    context_tokens: int | None = 8192
    embeddings: bool = False
    refuses: frozenset[str] = frozenset()

    def cost(self, factor: int = 1) -> CostModel | None:
        price = Fraction(self.price * factor)
        match self.kind:
            case "box":
                return AmortizedCost(Fraction(200 * 10**9), price)
            case "imported":
                return WindowCost(price * 100_000, 2, Fraction(300), Fraction(300), 2, 16, 60.0)
            case "provisioned":
                return ProvisionedCost(None, 1)
            case "unknown":
                return None
            case _:
                return PerTokenCost(price, price)

    def route(self, factor: int = 1) -> Route:
        own = self.kind in ("box", "provisioned")
        return Route(
            self.name, ServedBy(backend=self.name, model="m", embeddings=self.embeddings), self.quality,
            BOX_SPEED if own else CLOUD_SPEED, self.cost(factor), self.context_tokens,
            lambda demands, operation: demands & self.refuses,
        )  # fmt: skip


@dataclass(frozen=True)
class Life:
    """A policy, what happened before, and the moment to judge."""

    places: tuple[Place, ...]
    settings: RoutingSettings
    past: tuple[tuple[RequestFacts, FleetSnapshot, bool], ...]
    facts: RequestFacts
    fleet: FleetSnapshot

    def router(self, raised: str | None = None, factor: int = 1) -> Router:
        """`raised`: the backend whose price is so many times as high."""
        routes = tuple(place.route(factor if place.name == raised else 1) for place in self.places)
        alias = AliasSettings(needs="tuned", served_by=tuple(route.target for route in routes))
        return Router(self.settings, {"domain": AliasRoutes(alias, routes)})

    def lived(self) -> Router:
        """The router, having decided and noted the past."""
        router = self.router()
        for facts, fleet, bad in self.past:
            router.note(facts, router.decide(facts, fleet), fleet.at)
            router.ended(facts, bad, fleet.at)
        return router


@st.composite
def places(draw: st.DrawFn, kinds: tuple[str, ...], harsh: bool, each: bool) -> tuple[Place, ...]:
    """`each`: one of each of the kinds; else some of them."""
    made = []
    some = st.just(kinds) if each else st.lists(st.sampled_from(kinds), min_size=1 if harsh else 2, max_size=5)
    for number, kind in enumerate(draw(some)):
        own = kind in ("box", "provisioned", "imported")
        quality = (
            draw(st.sampled_from(("tuned", "tuned", "base") if own else ("base", "tuned")))
            if harsh
            else ("tuned" if own else "base")
        )
        place = Place(f"{kind}-{number}", kind, quality, draw(st.integers(0 if kind == "box" else 1, 1000)), None)
        if harsh:
            place = replace(
                place,
                context_tokens=draw(st.sampled_from((None, 8192, 1000))),
                embeddings=draw(st.sampled_from((False, False, True))),
                refuses=draw(st.sampled_from((frozenset(), frozenset({"tools"})))),
            )
        made.append(place)
    return tuple(made)


@st.composite
def windows(draw: st.DrawFn, price: int) -> WindowView:
    copies = draw(st.integers(0, 2))
    in_flight = draw(st.integers(0, 16 * copies))
    free = draw(st.sampled_from((0.0, 0.5, 20.0, 200.0))) if copies else 0.0
    return WindowView(copies, in_flight, 16 * copies - in_flight, free + 50.0 * (copies > 0), free, price)


many = st.one_of(st.integers(0, 40), st.integers(0, 300))


@st.composite
def states(draw: st.DrawFn, place: Place, harsh: bool) -> BackendState:
    cost = place.cost()
    window = draw(windows(cost.nanousd_per_window)) if isinstance(cost, WindowCost) else None
    in_flight = window.in_flight if window is not None else draw(many)
    starting = window is not None and not window.copies and draw(st.booleans())
    return BackendState(
        place.name,
        up=not harsh or draw(st.sampled_from((True, True, True, False))),
        circuit_open=harsh and draw(st.sampled_from((False, False, False, True))),
        in_flight=in_flight,
        decoding=draw(st.integers(0, in_flight)),
        foreign=draw(st.sampled_from((0, 0, 7, 90))),
        unread_prompt_tokens=draw(st.sampled_from((0, 300, 50_000))),
        prompt_share=draw(st.floats(0, 1)),
        max_in_flight=draw(st.sampled_from((256, 1000, 30))) if harsh else 1000,
        throttled_seconds=draw(st.sampled_from((0.0, 0.0, 0.0, 3.0))) if harsh else 0.0,
        kv_cache_usage=draw(st.sampled_from((None, 0.5, 0.99))),
        window=window,
        restoring_seconds=draw(st.floats(0, 100)) if starting else None,
        copies_starting=int(starting),
        speed=draw(st.sampled_from((None, None, SpeedModel(0.05, 0.004, 32, 2000.0, 0.2, 180.0)))),
        margin=draw(st.sampled_from((None, 0.5, 0.99))),
        correction=draw(st.sampled_from((LatencyCorrection(), LatencyCorrection(0.3, 3.0)))),
        waiting=draw(st.sampled_from((0, 0, 12))),
    )


@st.composite
def fleets(draw: st.DrawFn, all_places: tuple[Place, ...], harsh: bool) -> FleetSnapshot:
    mean = draw(st.sampled_from((0.0, 1.0, 100.0, 100.0, 4000.0)))
    return FleetSnapshot(0.0, {place.name: draw(states(place, harsh)) for place in all_places}, {"domain": mean})


ceilings = st.builds(
    Ceiling,
    st.sampled_from((None, 0.01, 10.0, 10.0, 90.0, 300.0, 300.0, 300.0)),
    st.sampled_from((None, 0.001, 0.2, 0.2, 1.0)),
    st.sampled_from((None, None, 0.1, 60.0)),
)


@st.composite
def requests(draw: st.DrawFn, all_places: tuple[Place, ...], harsh: bool) -> RequestFacts:
    pins = (None, None, None, None, None, all_places[0].name, "nowhere")
    return RequestFacts(
        "domain",
        draw(st.sampled_from(("chat", "chat", "chat", "embeddings"))) if harsh else "chat",
        draw(st.integers(1, 20_000)) if harsh else draw(st.integers(1, 3000)),
        draw(st.sampled_from((None, None, 1, 256, 4000))),
        ceiling=draw(ceilings),
        quality=draw(st.sampled_from((None, None, "any", "base"))),
        demands=draw(st.sampled_from((frozenset(), frozenset(), FIELDS))) if harsh else frozenset(),
        pinned_backend=draw(st.sampled_from(pins)) if harsh else None,
        elapsed_seconds=draw(st.sampled_from((0.0, 0.0, 5.0, 100.0, 280.0))),
        asked_before=draw(st.booleans()),
        expected_output_tokens=draw(st.sampled_from((None, None, 20.0, 2000.0))),
        may_hold=draw(st.booleans()),
    )


@st.composite
def lives(
    draw: st.DrawFn,
    kinds: tuple[str, ...] = ("box", "box", "imported", "imported", "metered", "metered", "unknown", "provisioned"),
    strategies: tuple[str, ...] = ("crossover",),
    harsh: bool = False,
    each: bool = False,
) -> Life:
    """`harsh`: many backends cannot serve the request, each for its reason."""
    all_places = draw(places(kinds, harsh, each))
    settings = RoutingSettings.model_validate(
        {"strategy": draw(st.sampled_from(strategies)), "when_late": draw(st.sampled_from(WHEN_LATE))}
    )
    asked = [draw(requests(all_places, harsh)) for _ in range(2)]
    seen = [draw(fleets(all_places, harsh)) for _ in range(2)]
    past, at = [], 0.0
    for gap, which, bad in draw(
        st.lists(st.tuples(st.sampled_from((0.0, 0.1, 2.0, 70.0)), st.integers(0, 3), st.booleans()), max_size=25)
    ):
        at += gap
        past.append((asked[which % 2], msgspec.structs.replace(seen[which // 2], at=at), bad))
    return Life(all_places, settings, tuple(past), asked[0], msgspec.structs.replace(seen[0], at=at))


def judged(life: Life) -> Decision:
    return life.lived().decide(life.facts, life.fleet)


def dumped(value: Any) -> Any:
    """All that an object holds, however deep, as plain values."""
    if isinstance(value, Mapping):
        return {key: dumped(one) for key, one in value.items()}
    if isinstance(value, list | tuple | deque):
        return [dumped(one) for one in value]
    names = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    if names and type(value).__module__.startswith("gateway."):
        return {name: dumped(getattr(value, name)) for name in names}
    return value


@unhurried
@given(lives(strategies=STRATEGIES, harsh=True))
def test_nobody_who_cannot_serve_it_is_ever_in_the_order(life: Life) -> None:
    facts, decision = life.facts, judged(life)
    by_name = {place.name: place for place in life.places}
    assert bool(decision.order) != (decision.refusal is not None)
    assert len({one.backend for one in decision.order}) == len(decision.order)
    for one in decision.order:
        place, state = by_name[one.backend], life.fleet.backends[one.backend]
        assert one in decision.candidates
        assert one.excluded is None
        assert state.up
        assert not state.circuit_open
        assert state.throttled_seconds == 0
        assert state.in_flight < state.max_in_flight
        assert facts.pinned_backend in (None, one.backend)
        assert place.embeddings == (facts.operation == "embeddings")
        assert not facts.demands & place.refuses
        tokens = CERTAIN_SHARE * facts.input_tokens + (facts.max_output_tokens or 0)
        assert place.context_tokens is None or tokens <= place.context_tokens
        lower = life.settings.strategy == "crossover" and life.settings.when_late == "lower_quality"
        good = facts.quality == "any" or place.quality in (facts.quality, "tuned")
        assert good or lower


@unhurried
@given(lives())
def test_a_request_that_needs_the_tuned_model_goes_below_it_only_where_the_policy_says_and_says_so(life: Life) -> None:
    decision = judged(life)
    if decision.chosen is not None and decision.chosen.below is not None and life.facts.pinned_backend is None:
        assert life.settings.when_late == "lower_quality"
        if any(one.below is None for one in decision.order) and decision.hold_seconds is None:
            assert decision.reason == "lower_quality_though_wrong"


@unhurried
@given(lives(), st.integers(0, 4), st.sampled_from((2, 10, 1000)))
def test_no_cost_of_any_candidate_falls_when_a_price_rises(life: Life, which: int, factor: int) -> None:
    router = life.lived()
    dearer = life.router(life.places[which % len(life.places)].name, factor)
    dearer.memory = router.memory
    before, after = router.decide(life.facts, life.fleet), dearer.decide(life.facts, life.fleet)
    for cheap, dear in zip(before.candidates, after.candidates, strict=True):
        assert (cheap.marginal_nanousd is None) == (dear.marginal_nanousd is None)
        assert (dear.marginal_nanousd or 0) >= (cheap.marginal_nanousd or 0)
        assert dear.expected_nanousd >= cheap.expected_nanousd * (1 - 1e-12)
        assert dear.congestion_nanousd >= cheap.congestion_nanousd * (1 - 1e-12)


@unhurried
@given(lives(kinds=("box", "imported", "metered", "metered"), each=True), st.sampled_from((2, 10, 1000)))
def test_what_the_chosen_one_costs_does_not_fall_when_a_price_by_the_token_rises(life: Life, factor: int) -> None:
    """Where the choice is made by cost: not by who is quickest when all are late, nor by a pin. The price of a window
    is another matter: below the regret that opens it nobody is sent there."""
    router = life.lived()
    dearer = life.router(life.places[2].name, factor)
    dearer.memory = router.memory
    before, after = router.decide(life.facts, life.fleet), dearer.decide(life.facts, life.fleet)
    if "cheapest_in_time" in (before.reason, after.reason) and before.chosen and after.chosen:
        assert after.chosen.expected_nanousd >= before.chosen.expected_nanousd - NEGLIGIBLE_NANOUSD


@unhurried
@given(lives(kinds=("box", "metered", "unknown", "provisioned")))
def test_without_an_imported_model_the_box_or_the_base_model_answers_and_nothing_is_started(life: Life) -> None:
    decision = judged(life)
    assert decision.warm is None
    assert decision.reason not in ("window_is_paid", "window_pays")
    assert decision.notes is None or decision.notes.regret_backend is None
    assert decision.chosen is not None or decision.refusal is not None


@unhurried
@given(lives())
def test_only_an_imported_model_that_is_not_up_is_started(life: Life) -> None:
    decision = judged(life)
    if decision.warm is not None:
        state = life.fleet.backends[decision.warm]
        assert state.window is not None
        assert state.window.copies == 0
        assert state.copies_starting == 0


@unhurried
@given(lives())
def test_a_window_that_is_paid_and_has_room_costs_nothing(life: Life) -> None:
    for one in judged(life).candidates:
        window = life.fleet.backends[one.backend].window
        if one.excluded is None and window is not None and window.room > 0 and window.free_seconds > 0:
            assert one.marginal_nanousd == 0


@unhurried
@given(st.booleans().flatmap(lambda harsh: lives(strategies=STRATEGIES, harsh=harsh)))
def test_every_number_is_finite_and_none_is_negative(life: Life) -> None:
    router = life.lived()
    decision = router.decide(life.facts, life.fleet)
    for one in decision.candidates:
        numbers = [one.congestion_nanousd, one.expected_nanousd, one.late_chance, one.marginal_nanousd or 0]
        if one.predicted is not None:
            numbers += [one.predicted.ttft_seconds, one.predicted.seconds_per_token, one.predicted.latency_seconds]
        assert all(isfinite(number) and number >= 0 for number in numbers), one
        assert one.late_chance <= 1.0
        assert one.why
    notes = decision.notes
    if notes is not None:
        assert 0 <= notes.overload_chance <= 1
        assert 0 <= notes.worth_nanousd < inf
        assert min(notes.pressure, notes.demand, notes.regret_nanousd, notes.forecast_saved) >= 0
        assert notes.regret_backend is None or notes.regret_nanousd <= notes.threshold_nanousd


@unhurried
@given(lives())
def test_an_answer_in_time_is_never_worth_more_than_its_windows(life: Life) -> None:
    router = life.lived()
    costs = [place.cost() for place in life.places]
    prices = [cost.nanousd_per_window for cost in costs if isinstance(cost, WindowCost)]
    notes = router.decide(life.facts, life.fleet).notes
    if prices and notes is not None and router.memory.work_seconds > 0:
        assert 0 <= notes.worth_nanousd <= life.settings.budget.most_windows * min(prices)


@unhurried
@given(lives(strategies=STRATEGIES))
def test_the_same_inputs_give_the_same_decision_and_deciding_leaves_no_trace(life: Life) -> None:
    router, again = life.lived(), life.lived()
    before = dumped(router.memory)
    decision = router.decide(life.facts, life.fleet)
    assert dumped(router.memory) == before
    assert router.decide(life.facts, life.fleet) == decision
    assert again.decide(life.facts, life.fleet) == decision
    assert dumped(again.memory) == before


@unhurried
@given(lives())
def test_a_hold_leaves_the_request_its_time(life: Life) -> None:
    facts, decision = life.facts, judged(life)
    held = decision.hold_seconds
    if held is None:
        return
    assert decision.reason == "held"
    assert facts.may_hold
    assert held > 0
    until = facts.elapsed_seconds + held
    ceiling = facts.ceiling
    first = ceiling.ttft_seconds if ceiling.ttft_seconds is not None else ceiling.latency_seconds
    if held > ROOM_WAIT_SECONDS:
        assert first is not None
        assert until <= life.settings.hold.share_of_ceiling * first
    elif first is not None:  # a moment, for room in a window that is paid
        assert until < life.settings.margin * first


@unhurried
@given(many, st.integers(0, 100), st.integers(1, 10_000), st.floats(1, 4000))
def test_predictions_grow_with_the_load(in_flight: int, foreign: int, tokens: int, mean: float) -> None:
    asked = RequestFacts("domain", "chat", tokens)
    less = predict(BOX_SPEED, BackendState("box", in_flight=in_flight, foreign=foreign), asked, mean)
    more = predict(BOX_SPEED, BackendState("box", in_flight=in_flight + 1, foreign=foreign), asked, mean)
    assert 0 <= less.ttft_seconds <= more.ttft_seconds
    assert 0 < less.seconds_per_token <= more.seconds_per_token
    assert less.latency_seconds >= less.ttft_seconds
