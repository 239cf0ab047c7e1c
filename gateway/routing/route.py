"""What never changes about serving an alias: its routes, in the policy's order."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Literal, TypeAlias

import msgspec

from gateway.economics.prices import AmortizedCost, CostModel, PerTokenCost, ProvisionedCost, TokenRate, WindowCost
from gateway.policy.schema import AliasSettings, ServedBy
from gateway.routing.facts import NO_CEILING, Ceiling
from gateway.routing.speed import SpeedModel

Refuses = Callable[[frozenset[str], str], frozenset[str]]
"""(demands, operation) -> those of them that the backend cannot carry."""

Kind: TypeAlias = Literal["box", "imported", "metered"]
"""Paid for whether used or not; billed by windows; paid by the token, or at a price that is unknown."""


class Route(msgspec.Struct, frozen=True):
    """One way to serve an alias, with all that never changes about it."""

    backend: str
    target: ServedBy
    quality: str
    speed: SpeedModel
    cost: CostModel | None
    context_tokens: int | None
    refuses: Refuses
    barred: str | None = None
    """Why it serves nobody for now, in words: it lags behind the newest generation, or its adapter is not loaded. Who
    publishes adapters puts another value in its place (`Router.swap`); None: it serves."""
    kind: Kind = "metered"
    """Follows from `cost`: nobody sets it. Worked out once, as what follows, since every decision asks for it."""
    rate: TokenRate | None = None
    """What one more request adds to the bill; None: not by its tokens, or a price is unknown."""
    embeddings: bool = False
    """It embeds, and does not generate."""

    def __post_init__(self) -> None:
        kind: Kind = "metered"
        rate: TokenRate | None = None
        match self.cost:
            case AmortizedCost(energy_nanousd_per_output_token=energy):
                kind, rate = "box", TokenRate.of(Fraction(0), energy)
            case ProvisionedCost():
                kind, rate = "box", TokenRate(0, 0, 1)
            case WindowCost():
                kind = "imported"
            case PerTokenCost():
                rate = self.cost.rate
        msgspec.structs.force_setattr(self, "kind", kind)
        msgspec.structs.force_setattr(self, "rate", rate)
        msgspec.structs.force_setattr(self, "embeddings", self.target.embeddings)


class AliasRoutes(msgspec.Struct, frozen=True):
    """An alias: what its answers must be, and who can give them, in the policy's order."""

    settings: AliasSettings
    routes: tuple[Route, ...]
    ceiling: Ceiling = NO_CEILING
    """Of `settings`, as decisions use it; it and what follows is worked out once, and nobody sets it."""
    qualities: tuple[str, ...] = ()
    """Classes that a request may ask for."""
    needs: str = ""
    """The class that its answers must have."""

    def __post_init__(self) -> None:
        of, needs = self.settings.ceiling, self.settings.needs
        ceiling = Ceiling(of.ttft_seconds, of.seconds_per_output_token, of.latency_seconds)
        qualities = tuple(dict.fromkeys(("any", needs, *(route.quality for route in self.routes))))
        msgspec.structs.force_setattr(self, "ceiling", ceiling)
        msgspec.structs.force_setattr(self, "qualities", qualities)
        msgspec.structs.force_setattr(self, "needs", needs)
