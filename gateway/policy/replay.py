"""What a replay must assume of recorded traffic: traces tell neither quality nor patience."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.policy.aliases import CeilingSettings
from gateway.policy.base import Name, Settings


class ReplaySettings(Settings):
    """Used by `crossover replay` and `crossover plan` only, for traces that name no alias."""

    tuned_alias: Name = Field("tuned", description="alias of the requests that need the tuned weights")
    base_alias: Name = Field("base", description="alias of those that any weights can answer")
    tuned_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.6, description="share of the requests that need the tuned weights, drawn at random; measure yours"
    )
    interactive_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.8, description="share under their alias's own ceiling, drawn at random; the rest is relaxed (batch work)"
    )
    relaxed_ceiling: CeilingSettings = Field(
        CeilingSettings(ttft_seconds=300, seconds_per_output_token=1.0),
        description="the ceiling of relaxed requests: they may be held for a trough",
    )
