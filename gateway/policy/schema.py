"""The policy file's settings: what may be written, its units, defaults and limits. Frozen once read.

Each concept has its own module; this one holds the whole and is where the rest of the program imports from.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from gateway.policy.access import AuthSettings, KeySettings, ServerSettings
from gateway.policy.aliases import AliasSettings, CeilingSettings, ServedBy
from gateway.policy.backends import (
    BackendSettings,
    BedrockCredentials,
    QualitySettings,
    SpeedSettings,
    TimeoutSettings,
)
from gateway.policy.base import Name, NonNegativeDecimal, PositiveDecimal, PositiveFloat, Quality, Settings
from gateway.policy.costs import (
    AmortizedSettings,
    CostSettings,
    PerTokenSettings,
    PriceSource,
    ProvisionedSettings,
    WindowSettings,
)

__all__ = [
    "AliasSettings", "AmortizedSettings", "AuthSettings", "BackendSettings", "BedrockCredentials", "CeilingSettings",
    "CostSettings", "KeySettings", "LedgerSettings", "Name", "NonNegativeDecimal", "PerTokenSettings", "Policy",
    "PositiveDecimal", "PositiveFloat", "PriceSource", "ProvisionedSettings", "Quality", "QualitySettings",
    "RoutingSettings", "ServedBy", "ServerSettings", "Settings", "SpeedSettings", "TimeoutSettings", "WindowSettings",
]  # fmt: skip


class LedgerSettings(Settings):
    path: str | None = Field(None, description="SQLite file; left out: nothing is kept")
    flush_seconds: Annotated[float, Field(gt=0, le=1)] = 0.25


class RoutingSettings(Settings):
    strategy: Literal[
        "crossover", "box-only", "imported-only", "spill", "least-busy", "lowest-cost", "ceiling-greedy"
    ] = Field("crossover", description="how a backend is chosen; all but crossover are there to be compared with")
    when_late: Literal["fastest", "cheapest", "reject", "lower_quality"] = Field(
        "fastest", description="what to do when nothing is predicted to meet the ceiling"
    )
    margin: Annotated[float, Field(gt=0, le=1)] = Field(
        0.9, description="share of a ceiling that a prediction may use: the rest is for its error"
    )
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    decisions_kept: Annotated[int, Field(ge=1)] = Field(2000, description="decisions that /admin/decisions can explain")
    scrape_seconds: PositiveFloat = Field(1.0, description="how often vLLM's metrics are read")


class Policy(Settings):
    """The whole policy file."""

    version: Literal[1]
    description: str | None = None
    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    ledger: LedgerSettings = LedgerSettings()
    routing: RoutingSettings = RoutingSettings()
    backends: Annotated[dict[Name, BackendSettings], Field(min_length=1)]
    aliases: dict[Name, AliasSettings] = Field(default_factory=dict)

    def fingerprint(self) -> str:
        """First 12 hex digits of a SHA-256 over the settings; secrets enter only masked."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]
