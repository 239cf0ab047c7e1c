"""No wait is longer than the policy allows, nor than what the request itself asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.server.faults.books import Attempt, Operation, attempts, operations, until
from tests.server.faults.client import Client, Seen, request
from tests.server.faults.upstream import Upstream, counting_upstream, message
from tests.server.fleets import box, metered
from tests.server.in_process import Running, gateway_in_process

TTFT, LATENCY = "x-crossover-max-ttft-ms", "x-crossover-max-latency-ms"


@asynccontextmanager
async def running(
    way: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **timeouts: float
) -> AsyncIterator[tuple[Running, Upstream]]:
    """Two backends that do as `way` says."""
    async with counting_upstream(lambda number, attempt: way, ("box", "cloud")) as upstream:
        policy = {
            "backends": {
                "box": box(upstream.urls["box"], timeouts=timeouts),
                "cloud": metered(upstream.urls["cloud"], timeouts=timeouts),
            },
            "aliases": {"tuned": {"served_by": [{"backend": "box", "model": "m"}, {"backend": "cloud", "model": "m"}]}},
        }
        async with gateway_in_process(policy, folder, monkeypatch) as gateway:
            yield gateway, upstream
            assert not any(tracker.in_flight for tracker in gateway.core.fleet.trackers.values())


async def ask(gateway: Running, *, stream: bool, headers: str = "") -> Seen:
    async with Client(gateway.root) as client:
        body = {"model": "tuned", "stream": stream, "messages": message(1, 400)}
        return await client.ask(request(body, headers))


async def booked(folder: Path) -> tuple[Operation, list[Attempt]]:
    ledger = folder / "ledger.sqlite3"
    await until(lambda: operations(ledger), "it is not booked")
    return operations(ledger)[0], attempts(ledger)


def circuits(gateway: Running) -> list[int]:
    """Failures that count, of both backends."""
    return [tracker.circuit.failures for tracker in gateway.core.fleet.trackers.values()]


@pytest.mark.parametrize(("stream", "header"), [(True, TTFT), (True, LATENCY), (False, LATENCY)])
async def test_before_the_first_byte_the_requests_own_deadline_is_a_504(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool, header: str
) -> None:
    async with running("hangs", tmp_path, monkeypatch) as (gateway, upstream):
        seen = await ask(gateway, stream=stream, headers=f"{header}: 300\r\n")
        assert seen.status == 504
        assert seen.error is not None
        assert seen.error["code"] == "deadline_exceeded"
        assert "300 ms" in seen.error["message"]
        assert header in seen.error["message"]
        operation, tried = await booked(tmp_path)
        assert (operation.outcome, operation.status, operation.attempts) == ("timeout", 504, 1)
        assert operation.verdict == "late"
        assert [(a.outcome, a.certainty, a.output_tokens) for a in tried] == [("timeout", "estimated", 0)]
        assert circuits(gateway) == [0, 0]  # nobody's fault
        await until(lambda: upstream.open == 0, "the upstream is still connected")


async def test_in_a_stream_it_ends_with_an_error_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running("slowly", tmp_path, monkeypatch) as (gateway, upstream):
        seen = await ask(gateway, stream=True, headers=f"{LATENCY}: 600\r\n")
        assert (seen.status, seen.ended, seen.done) == (200, True, False)
        assert seen.error is not None
        assert seen.error["code"] == "deadline_exceeded"
        operation, tried = await booked(tmp_path)
        assert (operation.outcome, operation.verdict) == ("timeout", "late")
        assert tried[0].output_tokens == seen.words
        assert circuits(gateway) == [0, 0]
        await until(lambda: upstream.open == 0, "the upstream is still connected")


async def test_a_stream_that_began_in_time_may_go_on_after_its_first_token_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running("slowly", tmp_path, monkeypatch) as (gateway, _):
        async with Client(gateway.root) as client:
            body = {"model": "tuned", "stream": True, "messages": message(1, 400)}
            seen = await client.ask(request(body, f"{TTFT}: 1500\r\n"), leave_after_words=399)
        assert seen.error is None
        assert seen.words == 399
        operation, _ = await booked(tmp_path)
        assert operation.outcome == "cancelled"


async def test_the_policys_total_ends_a_stream_that_is_lively(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running("slowly", tmp_path, monkeypatch, total_seconds=0.6) as (gateway, upstream):
        seen = await ask(gateway, stream=True)
        assert (seen.status, seen.ended) == (200, True)
        assert seen.error is not None
        assert seen.error["code"] == "backend_timeout"
        operation, tried = await booked(tmp_path)
        assert operation.outcome == "timeout"
        assert tried[0].output_tokens == seen.words > 0
        await until(lambda: upstream.open == 0, "the upstream is still connected")


async def test_the_policys_total_bounds_the_first_byte_and_then_another_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running("hangs", tmp_path, monkeypatch, total_seconds=0.3) as (gateway, _):
        seen = await ask(gateway, stream=False)
        assert seen.status == 504
        operation, tried = await booked(tmp_path)
        assert (operation.outcome, operation.attempts) == ("timeout", 2)
        assert [a.backend for a in tried] == ["box", "cloud"]
        assert circuits(gateway) == [1, 1]


async def test_no_other_backend_is_tried_when_no_time_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running("hangs", tmp_path, monkeypatch, first_byte_seconds=0.4) as (gateway, _):
        seen = await ask(gateway, stream=True, headers=f"{TTFT}: 600\r\n")
        assert seen.error is not None
        assert seen.error["code"] == "deadline_exceeded"
        operation, tried = await booked(tmp_path)
        assert operation.attempts == 2
        assert [a.outcome for a in tried] == ["timeout", "timeout"]
        assert circuits(gateway) == [1, 0]  # the first had its time, the second had not


async def test_a_ceiling_of_the_policy_is_a_target_and_cuts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with counting_upstream(lambda number, attempt: "slowly", ("box",)) as upstream:
        served = [{"backend": "box", "model": "m"}]
        alias = {"served_by": served, "ceiling": {"latency_seconds": 0.01}}
        policy = {"backends": {"box": box(upstream.urls["box"])}, "aliases": {"tuned": alias}}
        async with gateway_in_process(policy, tmp_path, monkeypatch) as gateway:
            seen = await asyncio.wait_for(ask(gateway, stream=False), 20)
            assert seen.status == 200
            operation, _ = await booked(tmp_path)
            assert (operation.outcome, operation.verdict) == ("ok", "late")
