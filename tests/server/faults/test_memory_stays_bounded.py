"""What a backend sends without end is cut off, and a client that reads slowly slows its backend: memory is bounded."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.gateway_process import GatewayProcess
from tests.server.faults.books import forget_peak, memory_mb, operation, peak_memory_mb, until
from tests.server.faults.client import Client, request
from tests.server.faults.conftest import Served
from tests.server.faults.upstream import BIG_CHUNK, Upstream, message, upstream_in_a_thread
from tests.server.fleets import box, one

MB = 2**20
WAYS = {1: "1 GB line", 2: "1 GB body", 3: "1 GB head", 4: "1 GB error", 5: "firehose"}
KERNEL_MB = 16
"""What the buffers of the sockets on the way may hold besides."""


PLACES = ("line", "head", "error", "error-streamed", "body")
"""One backend each: what was cut off three times would be left alone."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with upstream_in_a_thread(lambda number, attempt: WAYS[number], PLACES) as upstream:
        policy = {
            "backends": {name: box(url) for name, url in upstream.urls.items()},
            "aliases": {name: {"served_by": [{"backend": name, "model": "m"}]} for name in PLACES},
        }
        gateway = GatewayProcess(policy, tmp_path_factory.mktemp("served"))
        yield Served(gateway, upstream)
        gateway.close()


@pytest.mark.parametrize(
    ("place", "number", "streamed", "most_mb", "memory"),
    [
        ("line", 1, True, 4, 32),
        ("head", 3, False, 0.07, 8),
        ("error", 4, False, 0.07, 8),
        ("error-streamed", 4, True, 0.07, 8),
        ("body", 2, False, 64, 160),
    ],
    ids=PLACES,
)
async def test_a_gigabyte_is_cut_off_at_its_limit(
    served: Served, place: str, number: int, streamed: bool, most_mb: float, memory: float
) -> None:
    gateway, upstream = served.gateway, served.upstream
    pid = gateway.process.pid
    forget_peak(pid)
    before, poured_before = memory_mb(pid), upstream.poured
    async with Client(gateway.root) as client:
        seen = await client.ask(request({"model": place, "stream": streamed, "messages": message(number, 50)}))
    assert seen.status == 502
    assert seen.error is not None
    # Of an error its status alone says what it is; its words are left out.
    assert seen.error["code"] == (None if place.startswith("error") else "backend_garbage")
    await until(lambda: upstream.open == 0, "the backend is still connected")
    assert upstream.poured - poured_before <= (most_mb + KERNEL_MB) * MB
    assert peak_memory_mb(pid) - before <= memory
    booked = await operation(gateway, seen.operation)
    assert (booked.outcome, booked.output_tokens) == ("upstream_error", 0)


async def settled(upstream: Upstream) -> int:
    """Waits until nothing more is taken of what it pours."""
    last = -1
    while upstream.poured != last:
        last = upstream.poured
        await asyncio.sleep(0.5)
    return last


async def test_a_client_that_reads_slowly_slows_its_backend_and_loses_nothing(
    start_gateway: Callable[..., GatewayProcess],
) -> None:
    with upstream_in_a_thread(lambda number, attempt: WAYS[number], ("box",)) as upstream:
        gateway = start_gateway(**one(upstream.urls["box"]))
        pid = gateway.process.pid
        before = memory_mb(pid)
        host, port = gateway.root.removeprefix("http://").split(":")
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect((host, int(port)))
            slow.sendall(request({"model": "tuned", "stream": True, "messages": message(5, 50)}))
            taken = await settled(upstream)
            assert 0 < taken <= KERNEL_MB * MB
            assert memory_mb(pid) - before <= 16
            assert gateway.metric('crossover_inflight_requests{backend="box"}') == 1
            answer = bytearray()

            def read_on() -> None:
                while not answer.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
                    data = slow.recv(MB)
                    assert data, "the answer broke off"
                    answer.extend(data)

            await asyncio.to_thread(read_on)
            assert answer.count(b'"delta"') == upstream.poured // len(BIG_CHUNK)
            assert peak_memory_mb(pid) - before <= 32
        await asyncio.to_thread(gateway.wait_for_metric, 'crossover_inflight_requests{backend="box"}', 0.0)


async def test_what_a_failed_attempt_read_is_let_go_at_once(start_gateway: Callable[..., GatewayProcess]) -> None:
    places = tuple(f"box{number}" for number in range(12))
    with upstream_in_a_thread(lambda number, attempt: "huge line", places) as upstream:
        served = [{"backend": name, "model": "m"} for name in places]
        backends = {name: box(url) for name, url in upstream.urls.items()}
        routing = {"max_attempts": 3}
        gateway = start_gateway(backends=backends, aliases={"tuned": {"served_by": served}}, routing=routing)
        before = memory_mb(gateway.process.pid)
        async with Client(gateway.root) as client:
            for number in range(1, 11):
                seen = await client.ask(request({"model": "tuned", "stream": True, "messages": message(number, 50)}))
                assert seen.status == 502
        assert sum(len(tried) for tried in upstream.by_operation.values()) == 30
        assert peak_memory_mb(gateway.process.pid) - before <= 64  # 30 times 4 MB were read
