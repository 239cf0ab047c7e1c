"""The real local box for tests marked `vllm`: one server for the whole run, prepared on first use.

conftest.py imports `vllm_server`, and calls `mark_vllm_tests` from `pytest_collection_modifyitems`, so that
`make test` can run in one process what shares the server.
"""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.sandbox.hosting import free_port
from gateway.sandbox.vllm.prepare import Prepared, prepare
from gateway.sandbox.vllm.server import VllmServer
from gateway.sandbox.vllm.settings import VllmSettings

HOME = Path(os.environ.get("CROSSOVER_HOME") or Path(__file__).parents[1] / ".crossover")


@dataclass
class RunningVllm:
    """A vLLM server that answers. `server` can be stopped and started again by a test, which must leave it running."""

    server: VllmServer
    prepared: Prepared

    @property
    def root_url(self) -> str:
        return self.server.settings.root_url

    @property
    def base_url(self) -> str:
        """For an OpenAI client: ends in /v1."""
        return self.server.settings.base_url

    @property
    def base_model(self) -> str:
        return self.server.settings.served_name

    @property
    def tuned_model(self) -> str:
        return self.prepared.adapter

    @property
    def pid(self) -> int:
        """Process id, and process group id, of the server now running."""
        assert self.server.pid is not None
        return self.server.pid


@pytest.fixture(scope="session")
def vllm_prepared() -> Prepared:
    """The vLLM environment, model and adapter; minutes when they must be made first."""
    return prepare(HOME, print)


@pytest.fixture(scope="session")
def vllm_server(vllm_prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningVllm]:
    """A running server with the base model and the adapter."""
    server = VllmServer(
        VllmSettings(
            python=vllm_prepared.python,
            model_dir=vllm_prepared.model_dir,
            adapters={vllm_prepared.adapter: vllm_prepared.adapter_dir},
            port=free_port(),
            log_file=tmp_path_factory.mktemp("vllm") / "vllm.log",
        )
    )
    try:
        server.start()
        asyncio.run(server.wait_ready())
        yield RunningVllm(server, vllm_prepared)
    finally:
        server.stop()


def mark_vllm_tests(items: list[pytest.Item]) -> None:
    """Who uses the one server runs in one process and beside nothing else; who may have to prepare it has the time."""
    for item in items:
        if "vllm_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.alone)
        if item.get_closest_marker("vllm") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))
