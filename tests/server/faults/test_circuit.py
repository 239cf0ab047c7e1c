"""A backend that failed is tried again by one request alone; only what is its own fault counts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.routing.circuit import FAILURES_TO_OPEN, JITTER, OPEN_SECONDS
from tests.server.faults.client import Client, Seen, request
from tests.server.faults.upstream import counting_upstream, message
from tests.server.fleets import two
from tests.server.in_process import Running, gateway_in_process


async def ask(gateway: Running, leave: bool = False) -> Seen:
    async with Client(gateway.root) as client:
        data = request({"model": "tuned", "stream": True, "messages": message(1, 50)})
        if not leave:
            return await client.ask(data)
        await client.send(data)
        await asyncio.sleep(0.1)
        return Seen()


async def test_one_request_tries_a_backend_again_and_the_others_go_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = "503"
    async with (
        counting_upstream(lambda number, attempt: way, ("box",)) as box,
        counting_upstream(lambda number, attempt: "good", ("cloud",)) as cloud,
    ):
        settings = two(box.urls["box"], cloud.urls["cloud"], timeouts={"first_byte_seconds": 0.5})
        async with gateway_in_process(settings, tmp_path, monkeypatch) as gateway:
            core = gateway.core
            for _ in range(FAILURES_TO_OPEN + 2):
                assert (await ask(gateway)).headers["x-crossover-backend"] == "cloud"
            assert len(box.by_operation) == FAILURES_TO_OPEN
            tracker = core.fleet.trackers["box"]
            assert tracker.circuit_open(core.clock() + OPEN_SECONDS - 1)
            assert not tracker.circuit_open(core.clock() + OPEN_SECONDS * (1 + JITTER))

            way = "hangs"
            clock = core.clock
            core.clock = lambda: clock() + OPEN_SECONDS * (1 + JITTER)
            seen = await asyncio.gather(*(ask(gateway) for _ in range(8)))
            assert [one.headers["x-crossover-backend"] for one in seen] == ["cloud"] * 8
            assert len(box.by_operation) == FAILURES_TO_OPEN + 1

            way = "good"
            core.clock = lambda: clock() + 10 * OPEN_SECONDS
            assert (await ask(gateway)).headers["x-crossover-backend"] == "box"
            seen = await asyncio.gather(*(ask(gateway) for _ in range(8)))
            assert [one.headers["x-crossover-backend"] for one in seen] == ["box"] * 8


@pytest.mark.parametrize("way", ["400", "429", "clients leave"])
async def test_what_is_not_the_backends_fault_never_opens_its_circuit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    leave = way == "clients leave"
    async with counting_upstream(lambda number, attempt: "hangs" if leave else way, ("box", "cloud")) as upstream:
        settings = two(upstream.urls["box"], upstream.urls["cloud"])
        async with gateway_in_process(settings, tmp_path, monkeypatch) as gateway:
            await asyncio.gather(*(ask(gateway, leave) for _ in range(3 * FAILURES_TO_OPEN)))
            circuit = gateway.core.fleet.trackers["box"].circuit
            assert len(upstream.by_operation) >= FAILURES_TO_OPEN
            assert circuit.failures == 0
            assert not circuit.open(gateway.core.clock())
