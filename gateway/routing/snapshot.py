"""The fleet at one moment: an immutable value that background observers keep up to date and the router reads."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.economics.windows import WindowView
from gateway.routing.speed import SpeedModel


class LatencyCorrection(msgspec.Struct, frozen=True, gc=False):
    """What was observed over what was predicted, lately. 1: the policy's speeds are right."""

    ttft: float = 1.0
    time_per_token: float = 1.0


class BackendState(msgspec.Struct, frozen=True, gc=False):
    """One backend now. Counts are requests; `foreign` are those that others sent it, seen in its own metrics."""

    name: str
    up: bool = True
    circuit_open: bool = False
    in_flight: int = 0
    decoding: int = 0
    """Of ours in flight: past their first token."""
    foreign: int = 0
    unread_prompt_tokens: int = 0
    """Prompt tokens of our requests whose first token has not come."""
    prompt_share: float = 0.0
    """Share of about the last minute in which a prompt was being read, 0 to 1."""
    max_in_flight: int = 256
    throttled_seconds: float = 0.0
    """It answered "too many" and should be left alone for so long."""
    kv_cache_usage: float | None = None
    utilization: float | None = None
    """Output tokens/s of the last minute over what it can do; None: capacity unknown."""
    window: WindowView | None = None
    restoring_seconds: float | None = None
    """A cold start is under way: seconds until it is believed ready."""
    copies_starting: int = 0
    """Copies of an imported model that are believed to be starting."""
    speed: SpeedModel | None = None
    """As learned from traffic; None: the policy's."""
    margin: float | None = None
    """Share of a ceiling that a prediction may use here, from how well predictions came true; None: the policy's."""
    correction: LatencyCorrection = LatencyCorrection()
    metrics_age_seconds: float | None = None
    waiting: int = 0
    """Requests of everybody in the backend's own line, by its metrics; 0 where it says nothing."""


class FleetSnapshot(msgspec.Struct, frozen=True, gc=False):
    """All backends at `at` (monotonic seconds), and the mean output length by alias in tokens."""

    at: float
    backends: Mapping[str, BackendState]
    mean_output_tokens: Mapping[str, float] = {}
