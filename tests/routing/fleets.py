"""Routes, fleets and requests for tests of the router: a box, an imported model, a model paid by the token."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from gateway.economics.prices import AmortizedCost, CostModel, PerTokenCost, WindowCost
from gateway.economics.windows import WindowView
from gateway.policy.schema import AliasSettings, RoutingSettings, ServedBy
from gateway.routing.decision import Candidate, Decision
from gateway.routing.facts import Ceiling, RequestFacts
from gateway.routing.route import AliasRoutes, Route
from gateway.routing.router import Router
from gateway.routing.snapshot import BackendState, FleetSnapshot
from gateway.routing.speed import SpeedModel

BOX_SPEED = SpeedModel(0.0686, 0.00287, 32, 3000.0, 0.1, 200.0)
CLOUD_SPEED = SpeedModel(1 / 95, 0.0, 16, 10_000.0, 0.3, 1520.0)
BOX = AmortizedCost(Fraction(200 * 10**9))
CMI = WindowCost(Fraction(57_180_000), 2, Fraction(300), Fraction(300), 1, 16, 60.0)
BASE = PerTokenCost(Fraction(220), Fraction(220))
WINDOW_PRICE = CMI.nanousd_per_window

CLOSED = WindowView(0, 0, 0, 0.0, 0.0, WINDOW_PRICE)
PAID = WindowView(1, 1, 15, 250.0, 200.0, WINDOW_PRICE)
"""Up, with room, and one more call adds nothing."""
UP = WindowView(1, 1, 15, 250.0, 0.0, WINDOW_PRICE)
"""Up and with room, but one more call would make it stay for another window."""
PACKED = WindowView(1, 16, 0, 250.0, 200.0, WINDOW_PRICE)

SOON = Ceiling(10.0, 0.2)
"""Somebody waits for it."""
RELAXED = Ceiling(300.0, 1.0)


def route(backend: str, speed: SpeedModel, cost: CostModel | None, quality: str, **changed: Any) -> Route:
    settings: dict[str, Any] = {"context_tokens": 8192, "refuses": lambda demands, operation: frozenset()}
    settings |= changed
    target = ServedBy(backend=backend, model="m", embeddings=settings.pop("embeddings", False))
    return Route(backend, target, quality, speed, cost, **settings)


ON_BOX = route("box", BOX_SPEED, BOX, "tuned")
ON_CMI = route("cmi", CLOUD_SPEED, CMI, "tuned")
ON_BASE = route("base", CLOUD_SPEED, BASE, "base")
THREE = (ON_BOX, ON_CMI, ON_BASE)


def router(*routes: Route, needs: str = "tuned", **settings: Any) -> Router:
    alias = AliasSettings(needs=needs, served_by=tuple(r.target for r in routes))
    return Router(RoutingSettings(**settings), {"domain": AliasRoutes(alias, routes)})


def fleet(
    window: WindowView = CLOSED, *, at: float = 0.0, names: tuple[str, ...] = ("box", "cmi", "base"),
    **states: Mapping[str, Any],
) -> FleetSnapshot:  # fmt: skip
    """Each backend idle, but for what `states` says of it."""
    made = {}
    for name in names:
        settings: dict[str, Any] = {"window": window if name == "cmi" else None, **states.get(name, {})}
        made[name] = BackendState(name, **settings)
    return FleetSnapshot(at, made, {"domain": 100.0})


def with_requests(in_flight: int) -> dict[str, Any]:
    """The state of a box of batch 32."""
    return {"in_flight": in_flight, "decoding": min(32, in_flight)}


IDLE, CALM, CROWDED, FULL = with_requests(0), with_requests(5), with_requests(31), with_requests(200)
"""FULL: its line is minutes long."""


def facts(**changed: Any) -> RequestFacts:
    """Of a request that only the box and the imported model answer well; `quality="any"`: the base model will do."""
    asked: dict[str, Any] = {"alias": "domain", "operation": "chat", "input_tokens": 300, "ceiling": SOON}
    return RequestFacts(**(asked | changed))


def chosen(decision: Decision) -> str | None:
    return None if decision.chosen is None else decision.chosen.backend


def candidate(decision: Decision, backend: str) -> Candidate:
    return next(one for one in decision.candidates if one.backend == backend)


def warmed(warm: Router, count: int = 200, every_seconds: float = 10.0, **asked: Any) -> Router:
    """So many quiet requests were decided and noted before time 0."""
    for number in range(count):
        at = (number - count) * every_seconds
        request, seen = facts(**asked), fleet(at=at)
        warm.note(request, warm.decide(request, seen), at)
    return warm
