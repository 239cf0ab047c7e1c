"""Deployments as the owner sees them: JSON-ready, one entry for each alias."""

from __future__ import annotations

from typing import Any

from gateway.routing.deployment import Served
from gateway.routing.route import Route
from gateway.server.adapters.gate import shown_gate
from gateway.server.adapters.slot import Slot
from gateway.server.core import Core


def all_states(core: Core) -> dict[str, Any]:
    """Of every alias that an adapter serves, or may."""
    deployments = core.deployments
    return {
        "state_file": None if deployments.path is None else str(deployments.path),
        "adapters": [alias_state(core, alias) for alias in core.policy.aliases],
    }


def alias_state(core: Core, alias: str) -> dict[str, Any]:
    """`newest`: the generation that its backends should serve."""
    routes = core.router.aliases[alias].routes
    return {
        "alias": alias,
        "newest": core.deployments.newest(alias),
        "backends": [target_state(core, alias, route) for route in routes],
    }


def target_state(core: Core, alias: str, route: Route) -> dict[str, Any]:
    slot = core.deployments.slots.get((alias, route.backend))
    told: dict[str, Any] = {
        "backend": route.backend,
        "publishable": slot is not None,
        "may_lag": route.target.may_lag,
        "excluded": route.barred,
    }
    if slot is None:
        live = {"model": route.target.model, "generation": route.target.generation, "gate": None}
        return {
            **told, "live": live, "canary": None, "previous": None, "draining": [], "policy": live, "changed_at": None,
        }  # fmt: skip
    deployment, canary = slot.deployment, slot.deployment.canary
    return {
        **told,
        "live": _served(slot, deployment.live),
        "canary": None if canary is None else {**_served(slot, canary.served), "share": canary.share},
        "previous": None if deployment.previous is None else _served(slot, deployment.previous),
        "draining": [_served(slot, served) for served, lane in slot.lanes.items() if lane.retired],
        "policy": {"model": slot.policy.model, "generation": slot.policy.generation},
        "changed_at": deployment.changed_at or None,
    }


def _served(slot: Slot, served: Served) -> dict[str, Any]:
    lane = slot.lanes.get(served)
    return {
        "model": served.model,
        "generation": served.generation,
        "in_flight": 0 if lane is None else lane.in_flight,
        "missing": served.model in slot.missing,
        "gate": shown_gate(slot.gates.get(served.model)),
    }
