"""The router: request facts and the fleet's snapshot in, a decision out. Pure; the snapshot carries the clock.

Filters (who can serve it at all), then predictions (who is quick enough), then marginal cost (who adds least to the
bill); ties go to the order of the policy file. Every candidate leaves with its numbers and a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from gateway.policy.schema import RoutingSettings
from gateway.routing.decision import Candidate, Decision, Reason
from gateway.routing.eligibility import cold_wait, excluded, misses
from gateway.routing.facts import RequestFacts
from gateway.routing.marginal import marginal_nanousd
from gateway.routing.predict import DEFAULT_OUTPUT_TOKENS, Prediction, output_tokens, predict
from gateway.routing.refusal import nobody_can, nobody_in_time
from gateway.routing.route import AliasRoutes, Route
from gateway.routing.snapshot import BackendState, FleetSnapshot


class Router:
    """Decides. Holds settings only; what changes comes in with the snapshot."""

    def __init__(self, settings: RoutingSettings, aliases: Mapping[str, AliasRoutes]) -> None:
        self.settings = settings
        self.aliases = aliases

    def decide(self, facts: RequestFacts, fleet: FleetSnapshot) -> Decision:
        """Raises KeyError for an alias that the policy does not have: the caller answers 404 before asking."""
        alias = self.aliases[facts.alias]
        mean = fleet.mean_output_tokens.get(facts.alias, DEFAULT_OUTPUT_TOKENS)
        candidates = tuple(self._weigh(facts, alias, route, fleet, mean) for route in alias.routes)
        able = [candidate for candidate in candidates if candidate.excluded is None]
        if not able:
            return Decision((), candidates, "none", nobody_can(facts, alias, candidates, fleet))
        in_time = sorted((c for c in able if c.in_time), key=_cheapest)
        late = sorted((c for c in able if not c.in_time), key=_fastest)
        if in_time:
            return Decision((*in_time, *late), candidates, _reason(facts, able))
        if self.settings.when_late == "reject":
            return Decision((), candidates, "none", nobody_in_time(facts, late))
        if self.settings.when_late == "cheapest":
            return Decision(tuple(sorted(able, key=_cheapest)), candidates, "cheapest_though_late")
        return Decision(tuple(late), candidates, "fastest_though_late")

    def note(self, facts: RequestFacts, decision: Decision, now: float) -> None:
        """To be called once for every decision that is acted upon, a hold too."""

    def ended(self, facts: RequestFacts, bad: bool, now: float) -> None:
        """A request's verdict is known: `bad` is late, or answered below the quality it needs."""

    def _weigh(
        self, facts: RequestFacts, alias: AliasRoutes, route: Route, fleet: FleetSnapshot, mean: float
    ) -> Candidate:
        state = fleet.backends[route.backend]
        barred = excluded(facts, alias, route, state)
        if barred is not None:
            return _candidate(route, state, barred, None, False, None, barred)
        predicted = predict(route.speed, state, facts, mean)
        wait = cold_wait(route.cost, state)
        if wait:
            predicted = Prediction(
                predicted.ttft_seconds + wait, predicted.seconds_per_token, predicted.latency_seconds + wait
            )
        cost = marginal_nanousd(route.cost, state.window, facts.input_tokens, output_tokens(facts, mean))
        miss = misses(predicted, facts, self.settings.margin)
        return _candidate(route, state, None, predicted, miss is None, cost, miss or _in_words(cost, state))


def _cheapest(candidate: Candidate) -> float:
    return inf if candidate.marginal_nanousd is None else candidate.marginal_nanousd


def _fastest(candidate: Candidate) -> float:
    return inf if candidate.predicted is None else candidate.predicted.latency_seconds


def _in_words(cost: int | None, state: BackendState) -> str:
    if cost is None:
        return "in time; its price is unknown"
    if state.window is not None and cost == 0:
        return "in time; its window is open and paid"
    if state.window is not None:
        return f"in time; would open a window of ${cost / 1e9:.4f}"
    return f"in time; adds ${cost / 1e9:.9f}".rstrip("0").rstrip(".")


def _candidate(
    route: Route,
    state: BackendState,
    excluded: str | None,
    predicted: Prediction | None,
    in_time: bool,
    cost: int | None,
    why: str,
) -> Candidate:
    left = state.window.seconds_left if state.window is not None else None
    return Candidate(route.backend, route.target, excluded, predicted, in_time, cost, state.utilization, left, why)


def _reason(facts: RequestFacts, able: Sequence[Candidate]) -> Reason:
    if facts.pinned_backend is not None:
        return "pinned"
    return "cheapest_in_time" if len(able) > 1 else "only_choice"
