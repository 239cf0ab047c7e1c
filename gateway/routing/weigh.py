"""The candidates of one decision: each backend with its prediction, its chance of being late and its marginal cost."""

from __future__ import annotations

from math import inf

import msgspec

from gateway.economics.money import NanoUsd
from gateway.routing.decision import Candidate
from gateway.routing.eligibility import CERTAIN_SHARE, below_quality, busy, cold_wait, excluded
from gateway.routing.facts import RequestFacts
from gateway.routing.lateness import late_chance
from gateway.routing.marginal import marginal_nanousd
from gateway.routing.predict import Prediction, output_tokens, predict
from gateway.routing.route import AliasRoutes, Route
from gateway.routing.snapshot import BackendState, FleetSnapshot

IN_TIME_CHANCE = 0.5
"""A candidate that is more likely in time than not is called in time."""


class Weighed(msgspec.Struct, gc=False):
    """One candidate, with what the strategies reason about. Lives for one decision."""

    route: Route
    state: BackendState
    barred: str | None
    below: str | None
    """Its answers are below the quality needed: in words. It is barred then, unless the policy has a use for it."""
    busy: bool = False
    """Barred for a moment only: throttled, or as many requests there as are allowed."""
    predicted: Prediction | None = None
    late: float = 1.0
    marginal: NanoUsd | None = None
    congestion: float = 0.0
    expected: float = inf
    pressure: float = 0.0
    """Requests there over its batch."""
    work_seconds: float = 0.0
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
    input_tokens = facts.input_tokens
    states = fleet.backends
    asked = facts.quality or alias.needs
    # What `excluded` says nothing of, for most requests and backends, is told apart at once.
    anywhere = facts.pinned_backend is None
    demands, operation = facts.demands, facts.operation
    embeds = operation == "embeddings"
    surely = CERTAIN_SHARE * input_tokens + (facts.max_output_tokens or 0)
    # So is who is surely in time.
    ceiling, spent = facts.ceiling, facts.elapsed_seconds
    first, pace, whole = ceiling.ttft_seconds, ceiling.seconds_per_output_token, ceiling.latency_seconds
    all_weighed = []
    for route in alias.routes:
        state = states[route.backend]
        context = route.context_tokens
        if (
            anywhere and state.up and not state.circuit_open and route.barred is None and route.embeddings is embeds
            and (context is None or surely <= context) and not (demands and route.refuses(demands, operation))
        ):  # fmt: skip
            barred = None
        else:
            barred = excluded(facts, route, state)
        below = None if route.quality == asked or asked == "any" else below_quality(facts, alias, route)
        if barred is None and below is not None and not lower_quality:
            barred = below
        if barred is not None:
            all_weighed.append(Weighed(route, state, barred, below))
            continue
        if state.throttled_seconds > 0 or state.in_flight >= state.max_in_flight:
            all_weighed.append(Weighed(route, state, busy(state), below, True))
            continue
        predicted = predict(route.speed, state, facts, mean, tokens)
        pressure = work_seconds = 0.0
        kind = route.kind
        if kind == "box":
            speed = state.speed or route.speed
            batch = speed.batch
            pressure = (state.in_flight + state.foreign) / batch
            work_seconds = input_tokens / speed.prompt_tokens_per_second + tokens * speed.step(batch) / batch
        elif kind == "imported" and (wait := cold_wait(route.cost, state)):
            predicted = Prediction(
                predicted.ttft_seconds + wait, predicted.seconds_per_token, predicted.latency_seconds + wait
            )
        rate = route.rate
        marginal = (
            rate.price(input_tokens, round(tokens)) if rate is not None
            else marginal_nanousd(route.cost, state.window, input_tokens, tokens)
        )  # fmt: skip
        share = state.margin or margin
        late = (
            0.0 if not predicted.ahead and whole is None
            and (first is None or predicted.ttft_seconds < share * first - spent)
            and (pace is None or predicted.seconds_per_token <= share * pace)
            else late_chance(predicted, facts, share, tokens)
        )  # fmt: skip
        all_weighed.append(
            Weighed(route, state, None, below, False, predicted, late, marginal, 0.0, inf, pressure, work_seconds)
        )
    return all_weighed
