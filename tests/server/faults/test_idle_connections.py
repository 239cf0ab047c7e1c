"""10,000 connections that say nothing do not slow those that do, and each is let go."""

from __future__ import annotations

import resource
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.gateway_process import GatewayProcess
from tests.server.faults.books import memory_mb, sockets, until
from tests.server.faults.client import Client, request
from tests.server.faults.upstream import counting_upstream, message
from tests.server.fleets import one

WANTED = 10_000
AT_ONCE = 500
SPARE = 300
"""File descriptors for everything else."""
MEMORY_KB = 16
"""For each idle connection, at most."""


@pytest.fixture
def allowed() -> Iterator[int]:
    """How many connections this process and the gateway may have open: its limit is raised, and the gateway inherits
    it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED + SPARE if hard == resource.RLIM_INFINITY else min(hard, WANTED + SPARE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    yield min(WANTED, most - SPARE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_10_000_idle_connections_do_not_keep_others_waiting(
    start_gateway: Callable[..., GatewayProcess], allowed: int
) -> None:
    async with counting_upstream(lambda number, attempt: "good", ("box",)) as upstream:
        gateway = start_gateway(**one(upstream.urls["box"]))
        pid = gateway.process.pid
        host, port = gateway.root.removeprefix("http://").split(":")
        async with Client(gateway.root) as client:
            data = request({"model": "tuned", "stream": True, "messages": message(1, 50)})
            assert (await client.ask(data)).done
            sockets_before, memory_before = sockets(pid), memory_mb(pid)

            idle: list[socket.socket] = []
            try:
                while len(idle) < allowed:  # no more at once than its queue holds
                    for _ in range(min(AT_ONCE, allowed - len(idle))):
                        idle.append(socket.create_connection((host, int(port))))
                    await until(lambda: sockets(pid) >= sockets_before + len(idle), "not all are accepted")
                half = b"POST /v1/chat/completions HTTP/1.1\r\nhost:"
                for one_of_ten in idle[::10]:  # some have begun to speak
                    one_of_ten.send(half)
                for _ in range(20):
                    assert (await client.ask(data)).done
                async with Client(gateway.root) as newcomer:
                    assert (await newcomer.ask(data)).done
                assert (memory_mb(pid) - memory_before) * 1024 <= MEMORY_KB * allowed
            finally:
                for each in idle:
                    each.close()
            await until(lambda: sockets(pid) <= sockets_before, "sockets are left")
            assert (await client.ask(data)).done
