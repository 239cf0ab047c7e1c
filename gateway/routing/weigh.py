"""The candidates of one decision: each backend with its prediction, its chance of being late and its marginal cost."""

from __future__ import annotations

from math import inf

from gateway.economics.money import NanoUsd
from gateway.economics.prices import AmortizedCost, PerTokenCost, ProvisionedCost, WindowCost
from gateway.routing.decision import Candidate
from gateway.routing.eligibility import below_quality, cold_wait, excluded
from gateway.routing.facts import RequestFacts
from gateway.routing.lateness import late_chance
from gateway.routing.marginal import marginal_nanousd
from gateway.routing.predict import DEFAULT_OUTPUT_TOKENS, Prediction, output_tokens, predict
from gateway.routing.route import AliasRoutes, Route
from gateway.routing.snapshot import BackendState, FleetSnapshot

IN_TIME_CHANCE = 0.5
"""A candidate that is more likely in time than not is called in time."""


class Weighed:
    """One candidate, with what the strategies reason about. Lives for one decision."""

    __slots__ = (
        "barred",
        "below",
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
        return isinstance(self.route.cost, AmortizedCost | ProvisionedCost)

    @property
    def free_window(self) -> bool:
        """One more call adds nothing to the bill, and there is room for it."""
        window = self.state.window
        return window is not None and window.copies > 0 and window.room > 0 and window.free_seconds > 0

    def candidate(self) -> Candidate:
        window = self.state.window
        return Candidate(
            self.route.backend,
            self.route.target,
            self.barred,
            self.predicted,
            self.barred is None and self.late < IN_TIME_CHANCE,
            self.marginal,
            self.state.utilization,
            None if window is None else window.seconds_left,
            self.barred or self._in_words(),
            self.late if self.barred is None else 0.0,
            self.congestion,
            self.expected if self.expected < inf else 0.0,
        )

    def _in_words(self) -> str:
        late = "in time" if self.late < 0.005 else f"{self.late:.0%} likely to be late"
        if self.below is not None:
            late = f"{late}, but {self.below}"
        if self.marginal is None:
            return f"{late}; its price is unknown"
        window = self.state.window
        if window is None:
            return f"{late}; adds ${self.marginal / 1e9:.6f}"
        if self.marginal == 0:
            return f"{late}; its window is open and paid"
        if window.copies and not window.room:
            return f"{late}; its copies are full"
        return f"{late}; would open a window of ${self.marginal / 1e9:.4f}"


def weigh(
    facts: RequestFacts, alias: AliasRoutes, fleet: FleetSnapshot, margin: float, lower_quality: bool
) -> list[Weighed]:
    """All routes of an alias, in the policy's order. `lower_quality`: those below the quality needed are not barred."""
    mean = fleet.mean_output_tokens.get(facts.alias, DEFAULT_OUTPUT_TOKENS)
    tokens = output_tokens(facts, mean)
    states = fleet.backends
    all_weighed = []
    for route in alias.routes:
        state = states[route.backend]
        barred = excluded(facts, alias, route, state)
        below = below_quality(facts, alias, route)
        if barred is None and below is not None and not lower_quality:
            barred = below
        one = Weighed(route, state, barred, below)
        if barred is None:
            _predict(one, facts, mean, tokens, margin)
        all_weighed.append(one)
    return all_weighed


def _predict(one: Weighed, facts: RequestFacts, mean: float, tokens: float, margin: float) -> None:
    route, state = one.route, one.state
    cost, speed = route.cost, state.speed or route.speed
    predicted = predict(route.speed, state, facts, mean)
    if isinstance(cost, WindowCost):
        wait = cold_wait(cost, state)
        if wait:
            predicted = Prediction(
                predicted.ttft_seconds + wait, predicted.seconds_per_token, predicted.latency_seconds + wait
            )
    elif isinstance(cost, PerTokenCost | None):
        pass
    else:
        batch = speed.batch
        one.pressure = (state.in_flight + state.foreign) / batch
        one.work_seconds = facts.input_tokens / speed.prompt_tokens_per_second + tokens * speed.step(batch) / batch
    one.predicted = predicted
    one.late = late_chance(predicted, facts, state.margin or margin, tokens)
    one.marginal = marginal_nanousd(cost, state.window, facts.input_tokens, tokens)
