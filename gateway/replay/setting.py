"""What a policy file says of the simulated world: the places that serve, their speeds and prices, and the routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.economics.prices import AmortizedCost, CostModel, PerTokenCost, ProvisionedCost
from gateway.policy.schema import BackendSettings, Policy, RoutingSettings
from gateway.routing.route import AliasRoutes, Route
from gateway.routing.router import Router
from gateway.routing.speed import SpeedModel


class UnpricedError(ValueError):
    """A price is unknown, and a replay cannot count dollars without it."""


@dataclass(frozen=True, slots=True)
class Place:
    """One backend as the world simulates it."""

    name: str
    speed: SpeedModel
    cost: CostModel
    max_in_flight: int


@dataclass(frozen=True, slots=True)
class Setting:
    """The world of one policy: all that never changes during a replay."""

    places: tuple[Place, ...]
    aliases: Mapping[str, AliasRoutes]
    routing: RoutingSettings

    @classmethod
    def of(cls, policy: Policy) -> Setting:
        """Of the backends that serve an alias. Raises UnpricedError."""
        used = {target.backend for alias in policy.aliases.values() for target in alias.served_by}
        places = {name: _place(name, policy.backends[name]) for name in policy.backends if name in used}
        aliases = {
            name: AliasRoutes(
                alias,
                tuple(
                    Route(
                        backend=target.backend,
                        target=target,
                        quality=target.quality or alias.needs,
                        speed=places[target.backend].speed,
                        cost=places[target.backend].cost,
                        context_tokens=policy.backends[target.backend].speed.context_tokens,
                        refuses=_nothing,
                    )
                    for target in alias.served_by
                ),
            )
            for name, alias in policy.aliases.items()
        }
        return cls(tuple(places.values()), aliases, policy.routing)

    @property
    def box(self) -> SpeedModel | None:
        """The first owned box: what a target load is a share of."""
        return next((place.speed for place in self.places if isinstance(place.cost, AmortizedCost)), None)

    def router(self, **changes: Any) -> Router:
        """The production router over these routes. `changes`: routing settings that differ from the policy's."""
        return Router(RoutingSettings.model_validate(self.routing.model_dump() | changes), self.aliases)


def _place(name: str, settings: BackendSettings) -> Place:
    cost = None if settings.cost is None else settings.cost.model()
    unknown = cost is None
    match cost:
        case PerTokenCost():
            unknown = cost.input_nanousd_per_token is None or cost.output_nanousd_per_token is None
        case ProvisionedCost():
            unknown = cost.nanousd_per_second is None
    if cost is None or unknown:
        raise UnpricedError(f"backends.{name}.cost: a price is unknown, so its dollars cannot be counted: fill it in")
    return Place(name, SpeedModel.of(settings.speed), cost, settings.max_in_flight)


def _nothing(demands: frozenset[str], operation: str) -> frozenset[str]:
    """Traces hold plain chats: every backend carries them."""
    del demands, operation
    return frozenset()
