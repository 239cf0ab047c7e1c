"""The whole sandbox in memory: models, vectors, clock, faults, text source, counters."""

from __future__ import annotations

from collections import Counter
from typing import Any

from gateway.sandbox.bedrock.clock import NS, Clock
from gateway.sandbox.bedrock.faults import Faults
from gateway.sandbox.bedrock.fleet import ModelRuntime
from gateway.sandbox.bedrock.settings import ModelSettings, SandboxSettings
from gateway.sandbox.bedrock.upstream import text_source
from gateway.sandbox.s3vectors.service import VectorsService


class Sandbox:
    """Everything that changes while the sandbox runs."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.text = text_source(settings.text)
        self.open_connections = 0
        self.reset()

    def reset(self) -> None:
        """Back to the first second: cold models, an empty bill, no vectors, the settings' own faults, counters at 0."""
        self.clock = Clock(self.settings.time_scale)
        self.faults = Faults(self.settings.faults, self.settings.seed)
        self.models = {model.key: ModelRuntime(model, self.clock) for model in self.settings.models}
        self.text_sources: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        """Errors answered before a model was found, by name."""
        settings = self.settings
        self.s3vectors = VectorsService(settings.s3vectors, settings.region, settings.account, self.now, settings.seed)

    def now(self) -> float:
        """Simulated unix seconds."""
        return self.clock.epoch_unix_seconds + self.clock.now_ns() / NS

    def runtime(self, model: ModelSettings) -> ModelRuntime:
        return self.models[model.key]

    def advance(self, seconds: float) -> None:
        """Let simulated time jump. ValueError for a negative step."""
        self.clock.advance(seconds)
        for runtime in self.models.values():
            runtime.wake()

    def bill(self, *, with_calls: bool = False) -> dict[str, Any]:
        now_ns = self.clock.now_ns()
        models = {key: runtime.bill.report(now_ns, with_calls=with_calls) for key, runtime in self.models.items()}
        return {
            "simulated": True,
            "now_seconds": now_ns / NS,
            "time_scale": self.settings.time_scale,
            "total_nanousd": sum(model["total_nanousd"] for model in models.values()),
            "models": models,
        }

    def state(self) -> dict[str, Any]:
        cancels = [r.last_cancel_unix_seconds for r in self.models.values() if r.last_cancel_unix_seconds]
        return {
            "simulated": True,
            "now_seconds": self.clock.now_ns() / NS,
            "epoch_unix_seconds": self.clock.epoch_unix_seconds,
            "time_scale": self.settings.time_scale,
            "text_source": self.settings.text.source,
            "texts": dict(self.text_sources),
            "open_connections": self.open_connections,
            "in_flight": sum(runtime.in_flight for runtime in self.models.values()),
            "cancelled": sum(runtime.cancelled for runtime in self.models.values()),
            "last_cancel_unix_seconds": max(cancels, default=None),
            "refused": dict(self.refused),
            "faults": self.faults.listed(),
            "models": {key: runtime.report() for key, runtime in self.models.items()},
            "s3vectors": self.s3vectors.report(),
        }
