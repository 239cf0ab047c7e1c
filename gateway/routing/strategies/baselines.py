"""What is done elsewhere, under the names that replays compare with. Each is deliberately as simple as it is.

All of them send what the boxes do not get to an imported model if nothing else answers it well (`captive`), and else to
the cheapest per-token backend; what they know of output lengths is one mean over everything. None of them holds, warms,
or lets anybody be answered below the quality needed.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from gateway.routing.decision import Circumstances
from gateway.routing.facts import RequestFacts
from gateway.routing.lengths import ALL
from gateway.routing.memory import RATE_SECONDS, Memory
from gateway.routing.predict import DEFAULT_OUTPUT_TOKENS, output_tokens
from gateway.routing.snapshot import FleetSnapshot
from gateway.routing.strategies.chosen import Chosen
from gateway.routing.weigh import Weighed

TYPICAL_PROMPT_TOKENS = 600
"""`lowest-cost` needs a request rate that the box can do: for prompts of this length."""

Baseline = Callable[[list[Weighed], RequestFacts, FleetSnapshot, Memory], Weighed]


def choose(name: str, facts: RequestFacts, weighed: list[Weighed], fleet: FleetSnapshot, memory: Memory) -> Chosen:
    """`weighed`: at least one is not barred; those below the quality needed are."""
    able = [one for one in weighed if one.barred is None]
    first = BASELINES[name](able, facts, fleet, memory)
    order = [first, *sorted((one for one in able if one is not first), key=_marginal)]
    reason = "pinned" if facts.pinned_backend is not None else "only_choice" if len(able) == 1 else "cheapest_in_time"
    pressure = min((one.pressure for one in able if one.owned), default=0.0)
    captive = all(one.route.kind != "metered" for one in able)
    return Chosen(order, reason, Circumstances(0.0, captive, pressure, 0.0, 0.0))  # type: ignore[arg-type]


def box_only(able: list[Weighed], facts: RequestFacts, fleet: FleetSnapshot, memory: Memory) -> Weighed:
    """Everything to the boxes, however late."""
    del facts, fleet, memory
    return min((one for one in able if one.owned), key=_latency, default=None) or _cloud(able)


def imported_only(able: list[Weighed], facts: RequestFacts, fleet: FleetSnapshot, memory: Memory) -> Weighed:
    """Everything to the imported model."""
    del facts, fleet, memory
    return next((one for one in able if one.route.kind == "imported"), able[0])


def spill(able: list[Weighed], facts: RequestFacts, fleet: FleetSnapshot, memory: Memory) -> Weighed:
    """The box while it has fewer requests than its batch, else the cloud."""
    del facts, fleet, memory
    return next((one for one in able if one.owned and one.pressure < 1.0), None) or _cloud(able)


def least_busy(able: list[Weighed], facts: RequestFacts, fleet: FleetSnapshot, memory: Memory) -> Weighed:
    """Fewest requests in flight."""
    del facts, fleet, memory
    return min(able, key=_in_flight)


def lowest_cost(able: list[Weighed], facts: RequestFacts, fleet: FleetSnapshot, memory: Memory) -> Weighed:
    """The box, which costs nothing more, up to the request rate that it could do at its best; else the cloud."""
    box = next((one for one in able if one.owned), None)
    if box is None:
        return _cloud(able)
    speed = box.state.speed or box.route.speed
    tokens = output_tokens(facts, fleet.mean_output_tokens.get(ALL, DEFAULT_OUTPUT_TOKENS))
    seconds = TYPICAL_PROMPT_TOKENS / speed.prompt_tokens_per_second + tokens * speed.step(speed.batch) / speed.batch
    return box if memory.taken_last_minute(fleet.at) < RATE_SECONDS / seconds else _cloud(able)


def ceiling_greedy(able: list[Weighed], facts: RequestFacts, fleet: FleetSnapshot, memory: Memory) -> Weighed:
    """The box if it is predicted to be in time for an answer of mean length, else the cloud, whatever that opens."""
    del memory
    tokens = output_tokens(facts, fleet.mean_output_tokens.get(ALL, DEFAULT_OUTPUT_TOKENS))
    return next((one for one in able if one.owned and _fits(one, facts, tokens)), None) or _cloud(able)


BASELINES: dict[str, Baseline] = {
    "box-only": box_only,
    "imported-only": imported_only,
    "spill": spill,
    "least-busy": least_busy,
    "lowest-cost": lowest_cost,
    "ceiling-greedy": ceiling_greedy,
}


def _cloud(able: list[Weighed]) -> Weighed:
    metered = [one for one in able if one.route.kind == "metered"]
    if metered:
        return min(metered, key=_marginal)
    return next((one for one in able if one.route.kind == "imported"), able[0])


def _fits(one: Weighed, facts: RequestFacts, tokens: float) -> bool:
    predicted, ceiling = one.predicted, facts.ceiling
    if predicted is None:
        return False
    first = ceiling.ttft_seconds if ceiling.ttft_seconds is not None else inf
    ttft, whole = predicted.ttft_seconds + facts.elapsed_seconds, predicted.latency_seconds + facts.elapsed_seconds
    due = inf if ceiling.seconds_per_output_token is None else first + ceiling.seconds_per_output_token * tokens
    if ceiling.latency_seconds is not None:
        due = min(due, ceiling.latency_seconds)
    return ttft <= first and whole <= due


def _in_flight(one: Weighed) -> int:
    window = one.state.window
    return one.state.in_flight + one.state.foreign if window is None else window.in_flight


def _marginal(one: Weighed) -> float:
    return inf if one.marginal is None else one.marginal


def _latency(one: Weighed) -> float:
    return inf if one.predicted is None else one.predicted.latency_seconds
