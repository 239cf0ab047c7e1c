"""What never changes about serving an alias: its routes, in the policy's order."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.economics.prices import CostModel
from gateway.policy.schema import AliasSettings, ServedBy
from gateway.routing.speed import SpeedModel

Refuses = Callable[[frozenset[str], str], frozenset[str]]
"""(demands, operation) -> those of them that the backend cannot carry."""


class Route(msgspec.Struct, frozen=True):
    """One way to serve an alias, with all that never changes about it."""

    backend: str
    target: ServedBy
    quality: str
    speed: SpeedModel
    cost: CostModel | None
    context_tokens: int | None
    refuses: Refuses


class AliasRoutes(msgspec.Struct, frozen=True):
    """An alias: what its answers must be, and who can give them, in the policy's order."""

    settings: AliasSettings
    routes: tuple[Route, ...]

    @property
    def qualities(self) -> tuple[str, ...]:
        """Classes that a request may ask for."""
        return tuple(dict.fromkeys(("any", self.settings.needs, *(route.quality for route in self.routes))))
