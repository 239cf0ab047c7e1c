"""SIGTERM: answers under way end, nobody new is let in, and the process ends by itself."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest

from tests.gateway_process import GatewayProcess
from tests.server.faults.books import attempts, operations, until
from tests.server.faults.client import Client, Seen, request
from tests.server.faults.upstream import Upstream, counting_upstream, message
from tests.server.fleets import one

Start = Callable[..., GatewayProcess]


def chat(number: int, *, stream: bool = True) -> bytes:
    return request({"model": "tuned", "stream": stream, "messages": message(number, 50)})


async def under_way(upstream: Upstream, count: int) -> None:
    await until(lambda: len(upstream.by_operation) == count, "they are not under way")


async def ended(gateway: GatewayProcess) -> int:
    await until(lambda: gateway.process.poll() is not None, "the process goes on")
    code = gateway.process.returncode
    assert code is not None
    return code


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
async def test_streams_under_way_end_and_new_requests_are_refused(start_gateway: Start, told: signal.Signals) -> None:
    async with counting_upstream(lambda number, attempt: "takes a while", ("box",)) as upstream:
        gateway = start_gateway(**one(upstream.urls["box"]), server={"drain_seconds": 15})

        async def answered(number: int) -> Seen:
            async with Client(gateway.root) as client:
                return await client.ask(chat(number, stream=number % 2 == 0))

        async with Client(gateway.root) as idle:
            running = [asyncio.create_task(answered(number)) for number in range(1, 9)]
            await under_way(upstream, 8)
            gateway.process.send_signal(told)
            assert idle.reader is not None
            assert await asyncio.wait_for(idle.reader.read(), 20) == b""  # a connection that rests is closed
            try:
                late = await answered(9)
            except OSError:  # not let in any more
                late = Seen()
            assert late.status in (0, 503)
            for seen in await asyncio.gather(*running):
                assert (seen.status, seen.ended, seen.error) == (200, True, None)
        assert await ended(gateway) == 0
        booked = [(a.outcome, a.certainty) for a in attempts(gateway.ledger)]
        assert booked == [("ok", "exact")] * 8
        assert upstream.open == 0
        assert '"level":"error"' not in gateway.log()


async def test_what_does_not_end_in_time_is_told_and_booked(start_gateway: Start) -> None:
    async with counting_upstream(lambda number, attempt: ("slowly", "hangs")[number - 1], ("box",)) as upstream:
        gateway = start_gateway(**one(upstream.urls["box"]), server={"drain_seconds": 0.5})

        async def answered(number: int) -> Seen:
            async with Client(gateway.root) as client:
                return await client.ask(chat(number))

        running = [asyncio.create_task(answered(number)) for number in (1, 2)]
        await under_way(upstream, 2)
        gateway.process.send_signal(signal.SIGTERM)
        streamed, waited = await asyncio.gather(*running)
        assert streamed.error is not None
        assert streamed.error["code"] == "shutting_down"
        assert (waited.status, waited.headers["connection"]) == (503, "close")
        assert waited.error is not None
        assert waited.error["code"] == "shutting_down"
        assert await ended(gateway) == 0
        tried = attempts(gateway.ledger)
        assert [a.outcome for a in tried] == ["cancelled", "cancelled"]
        assert {a.output_tokens for a in tried} == {0, streamed.words}
        assert [o.outcome for o in operations(gateway.ledger)] == ["cancelled", "cancelled"]
        assert upstream.open == 0


async def test_a_second_signal_ends_it_at_once(start_gateway: Start) -> None:
    async with counting_upstream(lambda number, attempt: "hangs", ("box",)) as upstream:
        gateway = start_gateway(**one(upstream.urls["box"]), server={"drain_seconds": 300})
        async with Client(gateway.root) as client:
            await client.send(chat(1))
            await under_way(upstream, 1)
            gateway.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
            assert gateway.process.poll() is None
            gateway.process.send_signal(signal.SIGTERM)
            await ended(gateway)
        assert [a.outcome for a in attempts(gateway.ledger)] == ["cancelled"]
