"""A gateway with two boxes that answer at once, and a browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.sandbox.generator.server import serve_in_thread
from gateway.sandbox.generator.settings import GeneratorSettings
from tests.chromium import chromium
from tests.gateway_process import GatewayProcess
from tests.server.fleets import two

__all__ = ["chromium"]


@pytest.fixture(scope="session")
def peer_url() -> Iterator[str]:
    """A simulated box for both backends: as quick as it can be."""
    settings = GeneratorSettings(models=("m1", "m2"), tokens_per_second=0)
    with serve_in_thread(settings) as served:
        yield served.base_url


@pytest.fixture
def gateway(start_gateway: Callable[..., GatewayProcess], peer_url: str) -> GatewayProcess:
    return start_gateway(**policy(peer_url))


@pytest.fixture(scope="session")
def idle_gateway(tmp_path_factory: pytest.TempPathFactory, peer_url: str) -> Iterator[GatewayProcess]:
    """For tests that ask it nothing and leave it as it was."""
    started = GatewayProcess(policy(peer_url), tmp_path_factory.mktemp("gateway"))
    yield started
    started.close()


def policy(peer_url: str, **changed: Any) -> dict[str, Any]:
    settings = two(peer_url, peer_url, simulated=True)
    settings["aliases"]["tuned"]["ceiling"] = {"ttft_seconds": 5, "latency_seconds": 30}
    return settings | changed


@pytest.fixture
def replay_report() -> str:
    """One policy over one trace, in the shape of `crossover replay --json`."""
    policy = {
        "policy": "crossover", "usd_per_month": 694.0, "variable_usd_per_month": 494.0, "usd_per_1m_tokens": 0.4,
        "bad": 0.0092, "late": 0.0018, "wrong": 0.0074, "refused": 0.0, "held": 0.0,
        "ttft_seconds": {"interactive": {"requests": 9, "p50": 0.4, "p95": 1.2, "p99": 2.0}},
        "windows": {"per_month": 565.0}, "within_error_budget": True, "over_bound": 1.99,
    }  # fmt: skip
    replay = {
        "trace": "week.csv", "load": 0.8, "measured_load": 0.8, "days": 7.0, "requests": 9, "error_budget": 0.01,
        "bound_usd_per_month": 349.0, "hindsight": None, "policies": [policy], "notes": [],
    }  # fmt: skip
    return json.dumps({"schema": 1, "simulated": True, "replays": [replay], "failed": []})
