"""Starting OpenTelemetry for a policy that asks for it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

import gateway
from gateway.policy.schema import BackendSettings, TelemetrySettings
from gateway.telemetry.peer import Peer
from gateway.telemetry.tracing import Tracing

if TYPE_CHECKING:
    from gateway.telemetry.export import Telemetry

SCOPE = "crossover"


def start_telemetry(
    settings: TelemetrySettings,
    registry: CollectorRegistry,
    backends: Mapping[str, BackendSettings],
    run: str,
    policy_hash: str,
) -> Telemetry:
    """Starts the exporting thread. Raises `ValueError` where the extra `otel` is not installed."""
    try:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        from gateway.telemetry.export import Telemetry
        from gateway.telemetry.metrics import RegistryReader
        from gateway.telemetry.spans import SpanMaker
    except ImportError as error:
        raise ValueError(
            f"the policy has `telemetry`, and OpenTelemetry's SDK is not installed ({error.name} is missing): "
            "pip install 'crossover[otel]', or remove the section"
        ) from error
    resource = Resource(
        {
            "service.name": "crossover",
            "service.version": gateway.__version__,
            "service.instance.id": run,
            "crossover.policy.hash": policy_hash,
        }
    ).merge(OTELResourceDetector().detect())  # OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME win
    peers = {name: Peer.of(backend) for name, backend in backends.items()}
    return Telemetry(
        settings,
        Tracing(settings.sample_ratio) if settings.traces else None,
        SpanMaker(resource, SCOPE, gateway.__version__, peers),
        RegistryReader(
            registry,
            resource,
            InstrumentationScope(SCOPE, gateway.__version__),
            {name: peer.provider for name, peer in peers.items()},
            time.time_ns(),
        ),
    )
