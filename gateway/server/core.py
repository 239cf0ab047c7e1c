"""The gateway's parts, put together from a policy: everything the HTTP surface works with."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import gateway
from gateway.backends.contract import Backend
from gateway.backends.openai import OpenAIBackend
from gateway.metering.latencies import Latencies
from gateway.metering.ledger import Ledger
from gateway.metering.meter import Meter
from gateway.metering.series import Series
from gateway.policy.paths import serving_path
from gateway.policy.schema import BackendSettings, Policy, ServedBy
from gateway.routing.circuit import Circuit
from gateway.routing.route import AliasRoutes, Route
from gateway.routing.router import Router
from gateway.routing.shared_state import SharedState
from gateway.routing.speed import SpeedModel
from gateway.routing.tracker import Tracker
from gateway.server.adapters.deployments import Deployments
from gateway.server.adapters.served_models import ask_models
from gateway.server.auth import Doors
from gateway.server.crossings import show_crossovers
from gateway.server.decisions import Decisions
from gateway.server.described import ceilings, describe
from gateway.server.fleet import Fleet
from gateway.server.holding import Holds
from gateway.server.request_log import Log

if TYPE_CHECKING:
    from gateway.telemetry.export import Telemetry


REFUSALS_KEPT = 64
"""Of each route: what it says of so many sets of demands. An application asks for the same few each time."""


class Core:
    """One gateway. Made before the event loop runs; connections open when they are first needed."""

    def __init__(
        self, policy: Policy, *, clock: Callable[[], float] = time.monotonic, common: SharedState | None = None
    ) -> None:
        """`common`: what several gateways of this policy share; None: this is the only one."""
        self.policy = policy
        self.clock = clock
        self.run = secrets.token_hex(6)
        serving = {name: settings for name, settings in policy.backends.items() if settings.wire is not None}
        if not policy.aliases:
            raise ValueError("the policy has no aliases: nothing could be asked for. See policies/spark-bedrock.yaml")
        self.settings: Mapping[str, BackendSettings] = serving
        self.backends: Mapping[str, Backend] = {name: _backend(name, settings) for name, settings in serving.items()}
        costs = {name: None if s.cost is None else s.cost.model() for name, s in serving.items()}
        self.windowed = frozenset(name for name, cost in costs.items() if cost is not None and cost.kind == "window")
        """Backends that are paid by windows of their copies: only they need each call told."""
        speeds = {name: SpeedModel.of(settings.speed) for name, settings in serving.items()}
        self.series = Series(
            {b: [a for a, s in policy.aliases.items() if any(t.backend == b for t in s.served_by)] for b in serving},
            {name: cost.kind for name, cost in costs.items() if cost is not None},
            gateway.__version__,
            policy.fingerprint(),
            ceilings(policy),
        )
        ledger = policy.ledger
        self.ledger = None if ledger.path is None else Ledger(ledger.path, ledger.flush_seconds)
        self.meter = Meter(
            costs,
            {name: settings.speed.single_stream_tokens_per_second for name, settings in serving.items()},
            self.series,
            self.ledger,
            self.run,
            clock=clock,
        )
        self.latencies = Latencies(serving)
        self.fleet = Fleet(
            {
                name: Tracker(
                    name, settings.max_in_flight, speeds[name], policy.routing.margin, circuit=Circuit(random.random)
                )
                for name, settings in serving.items()
            },
            self.meter.window_view,
            common,
        )
        self.router = Router(
            policy.routing,
            {
                alias: AliasRoutes(
                    settings,
                    tuple(
                        Route(
                            target.backend,
                            target,
                            target.quality or settings.needs,
                            speeds[target.backend],
                            costs[target.backend],
                            serving[target.backend].speed.context_tokens,
                            lru_cache(REFUSALS_KEPT)(partial(_refuses, self.backends[target.backend], target)),
                        )
                        for target in settings.served_by
                    ),
                )
                for alias, settings in policy.aliases.items()
            },
            common,
        )
        self.doors = Doors(policy.auth)
        self.decisions = Decisions(policy.routing.decisions_kept)
        self.holds = Holds(policy.routing.max_held, self.series)
        self.draining = False
        self.loop_lag_seconds = 0.0
        """How late the event loop's clock ticked: the worst of the last second."""
        self.copies_elsewhere: dict[str, int] = {}
        """Copies of imported models that others are believed to have started, where anybody counts them."""
        self.request_log: Log | None = None
        """Where each request leaves a line when it ends; None: nowhere."""
        self.telemetry = _telemetry(self)
        self.tracing = None if self.telemetry is None else self.telemetry.tracing
        self.started_at = time.time()
        self.paths = tuple(serving_path(name, settings) for name, settings in serving.items())
        describe(self.series, policy, serving)
        self.deployments = Deployments(
            policy,
            self.router.aliases,
            self.series.adapters,
            lambda alias, routes: self.router.swap(alias, routes),
            lambda backend: ask_models(serving[backend]),
            clock,
        )
        """Which generation of an adapter serves each alias on each backend."""
        if self.ledger is not None:
            self.series.ledger(writing=True, lost=0)
        at_first = {name: speed.max_tokens_per_second for name, speed in speeds.items()}
        show_crossovers(self.series, self.paths, at_first, self.meter.totals)

    async def aclose(self) -> None:
        for backend in self.backends.values():
            await backend.aclose()
        self.meter.tick(self.clock())
        if self.telemetry is not None:
            await asyncio.to_thread(self.telemetry.close)
        if self.ledger is not None:
            self.ledger.close()


def _telemetry(core: Core) -> Telemetry | None:
    settings = core.policy.telemetry
    if settings is None:
        return None
    from gateway.telemetry.start import start_telemetry  # OpenTelemetry: only where a policy asks for it

    return start_telemetry(settings, core.series.registry, core.settings, core.run, core.policy.fingerprint())


def _backend(name: str, settings: BackendSettings) -> Backend:
    if settings.wire == "openai":
        return OpenAIBackend(name, settings)
    from gateway.backends.bedrock.backend import BedrockBackend  # botocore: only where a policy asks for it

    return BedrockBackend(name, settings)


def _refuses(backend: Backend, target: ServedBy, demands: frozenset[str], operation: str) -> frozenset[str]:
    return backend.refuses(demands, operation, target)  # type: ignore[arg-type]
