"""A copy started ahead of the need: one token of the gateway's own, booked to the nano-dollar, and no request's matter;
and what Bedrock answers corrects what is believed of its copies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import structs

from gateway.metering.ledger import books, reading
from gateway.routing.decision import Decision
from gateway.routing.facts import RequestFacts
from gateway.sandbox.bedrock.reconcile import differences
from gateway.sandbox.bedrock.server import Served, serve_in_thread
from tests.end_to_end.fleets import IMPORTED, cloud, sandbox_settings
from tests.scripted_peer import answer, scripted_peer
from tests.server.fleets import box
from tests.server.in_process import Running, gateway_in_process

MESSAGES: Any = [{"role": "user", "content": "hi"}]
MODELS = {"cmi": IMPORTED}


@pytest.fixture
def sandbox() -> Iterator[Served]:
    with serve_in_thread(sandbox_settings()) as served:
        yield served


def fleet(box_url: str, sandbox_url: str, **cost: Any) -> dict[str, Any]:
    imported = cloud(sandbox_url)["cmi"]
    imported["cost"] |= cost
    served = [{"backend": "box", "model": "m1"}, {"backend": "cmi", "model": IMPORTED}]
    return {"backends": {"box": box(box_url), "cmi": imported}, "aliases": {"tuned": {"served_by": served}}}


def warm(facts: RequestFacts, decision: Decision) -> Decision:
    return structs.replace(decision, warm="cmi")


async def ask(gateway: Running, backend: str | None = None, **how: Any) -> Any:
    headers = {} if backend is None else {"x-crossover-backend": backend}
    async with gateway.client() as client:
        return await client.chat.completions.with_raw_response.create(
            model="tuned", messages=MESSAGES, extra_headers=headers, **how
        )


def view(gateway: Running) -> Any:
    return gateway.core.meter.window_view("cmi", gateway.core.clock())


async def until(true: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def bill_of(sandbox: Served) -> Any:
    return (await asyncio.to_thread(httpx.get, sandbox.url + "/_sandbox/bill")).json()


async def fault(sandbox: Served, **settings: Any) -> None:
    (await asyncio.to_thread(httpx.post, sandbox.url + "/_sandbox/faults", json=settings)).raise_for_status()


async def test_a_copy_is_started_apart_from_the_request_and_the_books_equal_the_bill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Served
) -> None:
    async with (
        scripted_peer(answer("from the box")) as peer,
        gateway_in_process(fleet(peer.url, sandbox.url), tmp_path, monkeypatch, warm) as gateway,
    ):
        for _ in range(3):  # asked three times while one is under way
            answered = await ask(gateway)
            assert answered.headers["x-crossover-backend"] == "box"
        assert gateway.metric("crossover_warmups_total", backend="cmi") == 1
        assert view(gateway).copies == 0
        assert gateway.core.fleet.snapshot(gateway.core.clock()).backends["cmi"].restoring_seconds is not None
        await until(lambda: view(gateway).copies == 1)  # as its one token has come
        gateway.router.order = lambda facts, decision: decision  # type: ignore[method-assign]
        await ask(gateway, "cmi", max_tokens=5)
        await until(lambda: view(gateway).copies == 0 and view(gateway).seconds_left == 0)
    billed = await bill_of(sandbox)
    rows = {row.backend: structs.asdict(row) for row in books(tmp_path / "ledger.sqlite3")}
    assert differences(rows, billed, MODELS) == []
    assert billed["models"][IMPORTED]["completed"]["calls"] == 2
    with reading(tmp_path / "ledger.sqlite3") as connection:
        warmed = [dict(r) for r in connection.execute("SELECT * FROM attempts WHERE operation_id LIKE 'warm-%'")]
        asked = connection.execute("SELECT COUNT(*) FROM operations").fetchone()[0]
    assert [(row["outcome"], row["output_tokens"], row["backend"]) for row in warmed] == [("ok", 1, "cmi")]
    assert asked == 4


async def test_a_copy_that_cannot_be_started_fails_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Served
) -> None:
    await fault(sandbox, model=IMPORTED, kind="throttle", count=50)
    async with (
        scripted_peer(answer("fine")) as peer,
        gateway_in_process(fleet(peer.url, sandbox.url), tmp_path, monkeypatch, warm) as gateway,
    ):
        for _ in range(3):
            assert (await ask(gateway)).headers["x-crossover-backend"] == "box"
            await asyncio.sleep(0.05)
        assert gateway.metric("crossover_warmups_total", backend="cmi") == 1  # then it is throttled, and left alone
    assert (await bill_of(sandbox))["total_nanousd"] == 0


async def test_a_gateway_that_ends_while_a_copy_starts_books_the_call_as_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_in_thread(sandbox_settings(cold_start_seconds=3000)) as sandbox:
        async with (
            scripted_peer(answer("fine")) as peer,
            gateway_in_process(fleet(peer.url, sandbox.url), tmp_path, monkeypatch, warm) as gateway,
        ):
            await ask(gateway)
            await asyncio.sleep(0.2)
        with reading(tmp_path / "ledger.sqlite3") as connection:
            outcomes = connection.execute("SELECT outcome FROM attempts WHERE backend = 'cmi'").fetchall()
        assert [row[0] for row in outcomes] == ["cancelled"]
        assert (await bill_of(sandbox))["total_nanousd"] == 0


async def test_not_ready_takes_the_copy_out_of_the_view_until_it_answers_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_in_thread(sandbox_settings(idle_seconds=3000, window_seconds=3000)) as sandbox:
        longer = {"window_minutes": 0.5, "idle_minutes": 0.5, "cold_start_seconds": 6.0}
        async with (
            scripted_peer() as peer,
            gateway_in_process(fleet(peer.url, sandbox.url, **longer), tmp_path, monkeypatch) as gateway,
        ):
            await ask(gateway, "cmi", max_tokens=3)
            assert view(gateway).copies == 1
            await fault(sandbox, model=IMPORTED, kind="not_ready", count=2)
            asking = asyncio.create_task(ask(gateway, "cmi", max_tokens=3))
            await until(lambda: view(gateway).copies == 0)
            state = gateway.core.fleet.snapshot(gateway.core.clock()).backends["cmi"]
            assert state.restoring_seconds is not None
            assert state.restoring_seconds > 0
            await asking  # two polls later: too soon for a new copy, so it is the old one
            state = gateway.core.fleet.snapshot(gateway.core.clock()).backends["cmi"]
            assert (state.window.copies, state.restoring_seconds) == (1, None)  # type: ignore[union-attr]
            rows = {row.backend: structs.asdict(row) for row in await flushed(gateway)}
            assert rows["cmi"]["windows"] == len((await bill_of(sandbox))["models"][IMPORTED]["windows"]) == 1


async def test_too_many_shrinks_the_room_that_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Served
) -> None:
    async with (
        scripted_peer(answer("instead")) as peer,
        gateway_in_process(fleet(peer.url, sandbox.url), tmp_path, monkeypatch) as gateway,
    ):
        await ask(gateway, "cmi", max_tokens=3)
        room = view(gateway).room
        await fault(sandbox, model=IMPORTED, kind="throttle", count=1)
        with pytest.raises(Exception, match="throttling"):
            await ask(gateway, "cmi", max_tokens=3)
        assert view(gateway).room == 1 < room


async def test_a_call_that_is_not_streamed_takes_room_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_in_thread(sandbox_settings(tokens_per_second=10, idle_seconds=3000)) as sandbox:
        async with (
            scripted_peer() as peer,
            gateway_in_process(fleet(peer.url, sandbox.url, idle_minutes=0.5), tmp_path, monkeypatch) as gateway,
        ):
            await ask(gateway, "cmi", max_tokens=2)
            room = view(gateway).room
            asking = asyncio.create_task(ask(gateway, "cmi", max_tokens=20))
            await until(lambda: view(gateway).in_flight == 1)
            assert view(gateway).room == room - 1
            await asking
            assert (view(gateway).in_flight, view(gateway).room) == (0, room)


async def flushed(gateway: Running) -> Any:
    ledger = gateway.core.ledger
    assert ledger is not None
    await asyncio.to_thread(ledger.flush)
    return await asyncio.to_thread(books, ledger.path)
