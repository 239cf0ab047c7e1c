"""Fixtures that several parts share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.remote import Producer

from tests.gateway_process import GatewayProcess
from tests.groups import ByGroup
from tests.vllm_fixture import mark_vllm_tests, vllm_prepared, vllm_server

__all__ = ["vllm_prepared", "vllm_server"]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByGroup | None:
    return ByGroup(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_vllm_tests(items)


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[Callable[..., GatewayProcess]]:
    """Starts `crossover serve` with a policy (backends, aliases, and whatever differs from the tests' defaults)."""
    running: list[GatewayProcess] = []

    def start(**policy: Any) -> GatewayProcess:
        folder = tmp_path / f"gateway{len(running)}"
        folder.mkdir()
        running.append(GatewayProcess(policy, folder))
        return running[-1]

    yield start
    for gateway in running:
        gateway.close()
