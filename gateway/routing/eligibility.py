"""Who can serve a request at all, and who is quick enough: the filters before any price is looked at. Pure."""

from __future__ import annotations

from gateway.economics.prices import CostModel, WindowCost
from gateway.routing.facts import RequestFacts
from gateway.routing.route import AliasRoutes, Route
from gateway.routing.snapshot import BackendState

CERTAIN_SHARE = 0.5
"""Prompt tokens are estimated from bytes: only when half of the estimate is already too long is a backend ruled out."""


def excluded(facts: RequestFacts, route: Route, state: BackendState) -> str | None:
    """Why this route cannot serve the request, now or ever; None: it could, but for `busy`."""
    if facts.pinned_backend is not None and facts.pinned_backend != route.backend:
        return f"the request is pinned to {facts.pinned_backend}"
    if route.target.embeddings != (facts.operation == "embeddings"):
        return "it embeds, and does not generate" if route.target.embeddings else "it generates, and does not embed"
    refused = route.refuses(facts.demands, facts.operation) if facts.demands else None
    if refused:
        return "cannot carry " + ", ".join(sorted(refused))
    if too_long(facts, route):
        return f"its context is {route.context_tokens} tokens"
    if not state.up:
        return "it is down"
    if route.barred is not None:
        return route.barred
    if state.circuit_open:
        return "it failed repeatedly and is being left alone"
    return None


def busy(state: BackendState) -> str | None:
    """Why a backend that could serve takes nobody for a moment; None: it does."""
    if state.throttled_seconds > 0:
        return f"it is throttled for {state.throttled_seconds:.1f} s more"
    if state.in_flight >= state.max_in_flight:
        return f"{state.in_flight} requests are in flight, max_in_flight is {state.max_in_flight}"
    return None


def below_quality(facts: RequestFacts, alias: AliasRoutes, route: Route) -> str | None:
    """Why its answers are not good enough; None: they are."""
    needs = alias.settings.needs
    asked = facts.quality or needs
    if good_enough(asked, needs, route.quality):
        return None
    return f"its answers are {route.quality}, {asked} is needed"


def too_long(facts: RequestFacts, route: Route) -> bool:
    """Surely more tokens than the backend's context."""
    if route.context_tokens is None:
        return False
    return CERTAIN_SHARE * facts.input_tokens + (facts.max_output_tokens or 0) > route.context_tokens


def good_enough(asked: str, needed: str, offered: str) -> bool:
    """`any` takes every class; the alias's own class is always good enough for a request that asks for another."""
    return asked in ("any", offered) or (asked != needed and offered == needed)


def cold_wait(cost: CostModel | None, state: BackendState) -> float:
    """Seconds until an imported model that is not up would answer."""
    if not isinstance(cost, WindowCost) or (state.window is not None and state.window.copies > 0):
        return 0.0
    return cost.cold_start_seconds if state.restoring_seconds is None else state.restoring_seconds
