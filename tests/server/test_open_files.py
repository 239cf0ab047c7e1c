"""How many connections the gateway may have open."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gateway_process import GatewayProcess
from tests.server.fleets import one


def test_the_gateway_allows_itself_as_many_open_files_as_it_may(start_gateway: Callable[..., GatewayProcess]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard <= 512:
        pytest.skip("no limit above the one to be raised")
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        gateway = start_gateway(**one("http://127.0.0.1:9/v1"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    limits = Path(f"/proc/{gateway.process.pid}/limits").read_text()
    line = next(line for line in limits.splitlines() if line.startswith("Max open files"))
    assert line.split()[3:5] == [str(hard), str(hard)]
