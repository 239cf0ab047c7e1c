"""What the gateway shows of itself: log, console, OpenTelemetry, and the budget that its spending is held to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from gateway.policy.base import PositiveDecimal, PositiveFloat, Settings


class LogSettings(Settings):
    format: Literal["auto", "json", "text"] = Field("auto", description="auto: text on a terminal, JSON elsewhere")
    requests: bool = Field(True, description="one line for each request, when it ends")
    prompts: bool = Field(False, description="the start of each prompt too: it may hold what nobody else should read")


class TelemetrySettings(Settings):
    """OpenTelemetry, over OTLP/HTTP. Needs the extra `otel`; nothing of it is loaded without this section."""

    otlp_endpoint: str = Field(description="the collector, for example http://127.0.0.1:4318; without /v1/metrics")
    metrics: bool = True
    traces: bool = True
    headers: Mapping[str, SecretStr] = Field(
        default_factory=dict, description="sent with each export; write secrets as ${NAME}"
    )
    export_seconds: PositiveFloat = Field(15.0, description="how often metrics are sent")
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0, description="share of requests that are traced, where the caller's own trace does not say"
    )

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        endpoint = str(given.get("otlp_endpoint", ""))
        try:
            parts = urlsplit(endpoint)
            reachable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is none, half an IPv6 address
            reachable = False
        if not reachable or any(character.isspace() for character in endpoint):
            yield "otlp_endpoint must be an http:// or https:// address"
        elif "?" in endpoint or "#" in endpoint:
            yield "otlp_endpoint ends before ? and #: /v1/metrics and /v1/traces are put behind it"


class ConsoleSettings(Settings):
    enabled: bool = Field(True, description="serve /console to holders of an admin key")
    replay_report: str | None = Field(
        None, description="a file that `crossover replay --json` wrote: shown in a tab of its own where it exists"
    )


class SpendSettings(Settings):
    usd_per_month: PositiveDecimal | None = Field(
        None, description="what all backends together may cost; an alert fires when spending heads beyond it"
    )
