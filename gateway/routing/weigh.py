"""The candidates of one decision: each backend with its prediction, its chance of being late and its marginal cost."""

from __future__ import annotations

from math import inf

from gateway.economics.money import NanoUsd
from gateway.routing.decision import Candidate
from gateway.routing.eligibility import below_quality, busy, cold_wait, excluded
from gateway.routing.facts import RequestFacts
from gateway.routing.lateness import late_chance
from gateway.routing.marginal import marginal_nanousd
from gateway.routing.predict import Prediction, output_tokens, predict
from gateway.routing.route import AliasRoutes, Route
from gateway.routing.snapshot import BackendState, FleetSnapshot

IN_TIME_CHANCE = 0.5
"""A candidate that is more likely in time than not is called in time."""


class Weighed:
    """One candidate, with what the strategies reason about. Lives for one decision."""

    __slots__ = (
        "barred",
        "below",
        "busy",
        "congestion",
        "expected",
        "late",
        "marginal",
        "predicted",
        "pressure",
        "route",
        "state",
        "work_seconds",
    )  # fmt: skip

    def __init__(self, route: Route, state: BackendState, barred: str | None, below: str | None) -> None:
        self.route = route
        self.state = state
        self.barred = barred
        self.below = below
        """Its answers are below the quality needed: in words. It is barred then, unless the policy has a use for it."""
        self.busy = False
        """Barred for a moment only: throttled, or as many requests there as are allowed."""
        self.predicted: Prediction | None = None
        self.late = 1.0
        self.marginal: NanoUsd | None = None
        self.congestion = 0.0
        self.expected = inf
        self.pressure = 0.0
        """Requests there over its batch."""
        self.work_seconds = 0.0
        """Of the whole machine that the request takes, at its best efficiency."""

    @property
    def owned(self) -> bool:
        return self.route.kind == "box"

    @property
    def free_window(self) -> bool:
        """One more call adds nothing to the bill, and there is room for it."""
        window = self.state.window
        return window is not None and window.copies > 0 and window.room > 0 and window.free_seconds > 0

    def candidate(self) -> Candidate:
        route, state, barred = self.route, self.state, self.barred
        if barred is not None:
            return Candidate(
                route.backend, route.target, barred, None, False, None, state.utilization, state.window
            )  # fmt: skip
        late, expected = self.late, self.expected
        return Candidate(
            route.backend, route.target, None, self.predicted, late < IN_TIME_CHANCE, self.marginal, state.utilization,
            state.window, None, late, self.congestion, expected if expected < inf else 0.0, self.below,
        )  # fmt: skip


def weigh(
    facts: RequestFacts, alias: AliasRoutes, fleet: FleetSnapshot, mean: float, margin: float, lower_quality: bool
) -> list[Weighed]:
    """All routes of an alias, in the policy's order. `mean`: output tokens of an answer; `lower_quality`: those below
    the quality needed are not barred."""
    tokens = output_tokens(facts, mean)
    states = fleet.backends
    all_weighed = []
    for route in alias.routes:
        state = states[route.backend]
        barred = excluded(facts, route, state)
        below = below_quality(facts, alias, route)
        if barred is None and below is not None and not lower_quality:
            barred = below
        one = Weighed(route, state, barred, below)
        if barred is None:
            one.barred = barred = busy(state)
            one.busy = barred is not None
        if barred is None:
            _predict(one, facts, mean, tokens, margin)
        all_weighed.append(one)
    return all_weighed


def _predict(one: Weighed, facts: RequestFacts, mean: float, tokens: float, margin: float) -> None:
    route, state = one.route, one.state
    predicted = predict(route.speed, state, facts, mean)
    if route.kind == "imported":
        wait = cold_wait(route.cost, state)
        if wait:
            predicted = Prediction(
                predicted.ttft_seconds + wait, predicted.seconds_per_token, predicted.latency_seconds + wait
            )
    elif route.kind == "box":
        speed = state.speed or route.speed
        batch = speed.batch
        one.pressure = (state.in_flight + state.foreign) / batch
        one.work_seconds = facts.input_tokens / speed.prompt_tokens_per_second + tokens * speed.step(batch) / batch
    one.predicted = predicted
    one.late = late_chance(predicted, facts, state.margin or margin, tokens)
    one.marginal = marginal_nanousd(route.cost, state.window, facts.input_tokens, tokens)
