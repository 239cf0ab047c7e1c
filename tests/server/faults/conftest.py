"""One gateway, and one upstream that does as a request's number says, for all tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.gateway_process import GatewayProcess
from tests.server.faults.upstream import Upstream, upstream_in_a_thread
from tests.server.fleets import one

HANGS, SLOWLY = 1001, 1002
"""Numbers of requests that are never answered, and whose answer trickles."""
WAYS = {HANGS: "hangs", SLOWLY: "slowly"}
MAX_BODY_BYTES = 100_000


@dataclass
class Served:
    gateway: GatewayProcess
    upstream: Upstream

    @property
    def asked(self) -> int:
        """Requests that reached the upstream."""
        return len(self.upstream.by_operation)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with upstream_in_a_thread(lambda number, attempt: WAYS.get(number, "good"), ("box",)) as upstream:
        limits = {"max_body_bytes": MAX_BODY_BYTES, "body_timeout_seconds": 1.0}
        gateway = GatewayProcess({**one(upstream.urls["box"]), "server": limits}, tmp_path_factory.mktemp("served"))
        yield Served(gateway, upstream)
        gateway.close()
