"""Where the router stands between decisions: what it steers by, for metrics. Pure; never on a request's path."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.routing.router import Router
from gateway.routing.snapshot import FleetSnapshot


class Standing(msgspec.Struct, frozen=True):
    """At one moment."""

    worth_nanousd: float
    """Of one answer in time: the shadow price of the error budget. 0 for strategies that do not ask."""
    budget_ratio: float
    """Share of requests that were bad so far, over the error budget. 1: it is spent, to the request."""
    demand: float
    """Work per second of requests without another cheap home, over what all boxes can do."""
    regret_nanousd: Mapping[str, float]
    """By backend: of windows that were not opened lately."""


def standing(router: Router, fleet: FleetSnapshot) -> Standing:
    """As `fleet` shows the boxes at its time."""
    memory, settings = router.memory, router.settings
    routes = {route.backend: route for alias in router.aliases.values() for route in alias.routes}
    boxes = [fleet.backends[name].speed or route.speed for name, route in routes.items() if route.kind == "box"]
    ended, bad = memory.common.verdicts()
    return Standing(
        router.worth_nanousd if settings.strategy == "crossover" else 0.0,
        bad / ended / settings.error_budget if ended else 0.0,
        memory.common.demand(fleet.at).over(boxes),
        {name: memory.regret(name, fleet.at) for name, route in routes.items() if route.kind == "imported"},
    )
