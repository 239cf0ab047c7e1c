"""Health: is the process alive, can it serve, and how does each backend stand. From memory alone: nothing is asked of
a backend here (an inference call would open a billed window)."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from gateway.server.core import Core


def health_routes(core: Core) -> APIRouter:
    routes = APIRouter(prefix="/health", tags=["health"])

    @routes.get("/live")
    async def live() -> dict[str, str]:
        """The event loop turns."""
        return {"status": "alive"}

    @routes.get("/ready")
    async def ready() -> JSONResponse:
        """200 while some model has a backend that can be asked (`unserved` names those that have none); 503 without
        any, and while shutting down."""
        unserved = unserved_aliases(core)
        if core.draining:
            return JSONResponse({"status": "draining"}, 503)
        if len(unserved) == len(core.policy.aliases):
            return JSONResponse({"status": "no backend", "unserved": unserved}, 503)
        return JSONResponse({"status": "ready", "unserved": unserved})

    @routes.get("/backends")
    async def backends() -> dict[str, Any]:
        """Each backend as the router sees it now."""
        now = core.clock()
        fleet = core.fleet.snapshot(now)
        ledger = None if core.ledger is None else {"writing": core.ledger.writing, "lost_records": core.ledger.lost}
        return {
            "backends": {
                name: {
                    "up": state.up and not state.circuit_open,
                    "simulated": core.settings[name].simulated,
                    "wire": core.settings[name].wire,
                    "last_failure": core.fleet.trackers[name].last_failure,
                    "in_flight": state.in_flight,
                    "foreign_requests": state.foreign,
                    "kv_cache_usage": state.kv_cache_usage,
                    "utilization": state.utilization,
                    "metrics_age_seconds": state.metrics_age_seconds,
                    "throttled_seconds": state.throttled_seconds,
                    "restoring_seconds": state.restoring_seconds,
                    "window": None if state.window is None else msgspec.to_builtins(state.window),
                }
                for name, state in fleet.backends.items()
            },
            "ledger": ledger,
        }

    return routes


def unserved_aliases(core: Core) -> list[str]:
    """Aliases none of whose backends can be asked now."""
    now = core.clock()
    up = {n for n, t in core.fleet.trackers.items() if t.reachable and not t.circuit_open(now)}
    return [
        alias
        for alias, served in core.router.aliases.items()
        if not any(route.backend in up and route.barred is None for route in served.routes)
    ]
