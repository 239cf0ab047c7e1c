"""The policy file's settings: what may be written, its units, defaults and limits. Frozen once read.

Each concept has its own module; this one holds the whole and is where the rest of the program imports from.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from gateway.policy.access import AuthSettings, KeySettings, ServerSettings
from gateway.policy.adapters import AdapterSettings
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
from gateway.policy.observability import ConsoleSettings, LogSettings, SpendSettings, TelemetrySettings
from gateway.policy.replay import ReplaySettings
from gateway.policy.routing import RoutingSettings

__all__ = [
    "AdapterSettings", "AliasSettings", "AmortizedSettings", "AuthSettings", "BackendSettings", "BedrockCredentials",
    "CeilingSettings",
    "ConsoleSettings", "CostSettings", "KeySettings", "LedgerSettings", "LogSettings", "Name", "NonNegativeDecimal",
    "PerTokenSettings", "Policy", "PositiveDecimal", "PositiveFloat", "PriceSource", "ProvisionedSettings", "Quality",
    "QualitySettings", "ReplaySettings", "RoutingSettings", "ServedBy", "ServerSettings", "Settings", "SpeedSettings",
    "SpendSettings", "TelemetrySettings", "TimeoutSettings", "WindowSettings",
]  # fmt: skip


class LedgerSettings(Settings):
    path: str | None = Field(None, description="SQLite file; left out: nothing is kept")
    flush_seconds: Annotated[float, Field(gt=0, le=1)] = 0.25


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
    adapters: AdapterSettings = AdapterSettings()
    replay: ReplaySettings = ReplaySettings()
    budget: SpendSettings = SpendSettings()
    log: LogSettings = LogSettings()
    console: ConsoleSettings = ConsoleSettings()
    telemetry: TelemetrySettings | None = Field(None, description="left out: nothing is exported, nothing is loaded")

    def fingerprint(self) -> str:
        """First 12 hex digits of a SHA-256 over the settings; secrets enter only masked."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]
