"""Telemetry that is off loads nothing; a collector that is away, broken or silent costs no request and no stop."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gateway.telemetry.outbox import Outbox
from tests.gateway_process import GatewayProcess
from tests.scripted_peer import Connection, answer, scripted_peer
from tests.server.fleets import one
from tests.telemetry.collector import Collector, collector

Start = Callable[..., GatewayProcess]
NOBODY = "http://127.0.0.1:9"
BODY = {"model": "tuned", "messages": [{"role": "user", "content": "hi"}]}
LOADED = """
import sys
from pathlib import Path
from gateway.policy import load_policy
from gateway.server.app import Application
from gateway.server.core import Core
import gateway.server.run
Application(Core(load_policy(Path(sys.argv[1]))))
names = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "google.protobuf", "requests")
print([name for name in names if name in sys.modules])
"""
"""(FastAPI itself imports `opentelemetry-api`, which by itself does nothing.)"""


@pytest.fixture
def sent() -> Iterator[Collector]:
    with collector() as kept:
        yield kept


async def ask(gateway: GatewayProcess, count: int = 1) -> list[int]:
    async with httpx.AsyncClient(headers=gateway.headers(), timeout=10) as http:
        return [(await http.post(f"{gateway.url}/chat/completions", json=BODY)).status_code for _ in range(count)]


def warnings(gateway: GatewayProcess) -> list[str]:
    lines = [json.loads(line) for line in gateway.log().splitlines()]
    return [line["message"] for line in lines if line["event"] == "log"]


def loaded(folder: Path, blocked: str = "", **settings: Any) -> subprocess.CompletedProcess[str]:
    policy = folder / "policy.yaml"
    policy.write_text(yaml.safe_dump({"version": 1, "auth": {"open": True}, **one(f"{NOBODY}/v1"), **settings}))
    block = f"import sys; sys.modules['{blocked}'] = None\n" if blocked else ""
    environment = os.environ | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY, "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", block + LOADED, str(policy)], capture_output=True, text=True, env=environment, timeout=60
    )


def test_nothing_of_it_is_loaded_when_it_is_off(tmp_path: Path) -> None:
    assert loaded(tmp_path).stdout.strip() == "[]"


def test_it_is_loaded_when_it_is_on(tmp_path: Path) -> None:
    on = loaded(tmp_path, telemetry={"otlp_endpoint": NOBODY})
    assert "'opentelemetry.sdk', 'opentelemetry.exporter'" in on.stdout


def test_a_policy_that_wants_it_says_what_to_install(tmp_path: Path) -> None:
    without = loaded(tmp_path, "opentelemetry.sdk", telemetry={"otlp_endpoint": NOBODY})
    assert "pip install 'crossover[otel]'" in without.stderr


async def test_a_collector_that_is_away_costs_no_request_and_one_line_now_and_then(start_gateway: Start) -> None:
    async with scripted_peer(answer("a b")) as peer:
        away = {"otlp_endpoint": "http://someone:his-password@127.0.0.1:9", "export_seconds": 0.1}
        gateway = start_gateway(**one(peer.url), telemetry=away)
        while "is not reached" not in gateway.log():
            assert await ask(gateway, 10) == [200] * 10
            await asyncio.sleep(0.1)
        gateway.stop()
    said = [message for message in warnings(gateway) if message.startswith("telemetry")]
    assert said
    assert "http://127.0.0.1:9 is not reached" in said[0]
    assert len(said) <= 2, "and at the end, that the last of it is lost"
    assert "his-password" not in gateway.log()


async def test_a_collector_that_never_answers_keeps_nobody_waiting(start_gateway: Start) -> None:
    async def hang(connection: Connection) -> None:
        await connection.closed_by_peer()

    async with scripted_peer(answer("a b")) as peer, scripted_peer(hang) as silent:
        endpoint = silent.url.removesuffix("/v1")
        gateway = start_gateway(**one(peer.url), telemetry={"otlp_endpoint": endpoint, "export_seconds": 0.1})
        assert await ask(gateway, 20) == [200] * 20
        gateway.stop()  # waits for 20 s at most
    assert any("the last of it did not reach" in message for message in warnings(gateway))


async def test_a_collector_that_was_broken_has_every_count_once_it_works(start_gateway: Start, sent: Collector) -> None:
    sent.status = 500
    async with scripted_peer(answer("a b")) as peer:
        gateway = start_gateway(**one(peer.url), telemetry={"otlp_endpoint": sent.endpoint, "export_seconds": 0.1})
        assert await ask(gateway, 5) == [200] * 5
        while "is not reached" not in gateway.log():
            await ask(gateway)
        sent.status = 200
        sent.wait_for(lambda got: len(got.metrics) > 1)
        asked = len(peer.requests)
        counted = sent.metrics[-1]["crossover.attempts"].sum.data_points
        gateway.stop()
    assert sum(point.as_double for point in counted) == asked
    assert any("is reached again" in message for message in warnings(gateway))


async def test_a_redirection_is_no_success_and_takes_no_header_elsewhere(start_gateway: Start, sent: Collector) -> None:
    async def elsewhere(connection: Connection) -> None:
        headers = f"location: {sent.endpoint}\r\ncontent-length: 0\r\nconnection: close"
        await connection.send(f"HTTP/1.1 307 Temporary Redirect\r\n{headers}\r\n\r\n".encode())

    async with scripted_peer(answer("a b")) as peer, scripted_peer(elsewhere) as moved:
        endpoint = moved.url.removesuffix("/v1")
        telemetry = {"otlp_endpoint": endpoint, "headers": {"x-secret": "s3"}, "export_seconds": 0.1}
        gateway = start_gateway(**one(peer.url), telemetry=telemetry)
        assert await ask(gateway, 3) == [200] * 3
        async with asyncio.timeout(20):
            while "is not reached" not in gateway.log():
                await asyncio.sleep(0.05)
        gateway.stop()
    assert moved.requests[0].headers["x-secret"] == "s3"
    assert sent.paths == []


async def test_an_answer_without_end_is_not_read(start_gateway: Start) -> None:
    went: asyncio.Queue[None] = asyncio.Queue()

    async def endless(connection: Connection) -> None:
        await connection.start_stream()
        try:
            while True:
                await connection.event("x" * 60000)
                await asyncio.sleep(0)
        except ConnectionError:
            went.put_nowait(None)

    async with scripted_peer(answer("a b")) as peer, scripted_peer(endless) as collected:
        endpoint = collected.url.removesuffix("/v1")
        gateway = start_gateway(**one(peer.url), telemetry={"otlp_endpoint": endpoint, "export_seconds": 0.1})
        for _ in range(3):  # taken, one after the other
            await asyncio.wait_for(went.get(), 15)
        await asyncio.to_thread(gateway.stop)  # the last of it is to be taken too
    assert not warnings(gateway)


def test_an_outbox_is_bounded_and_counts_what_it_could_not_take() -> None:
    box: Outbox[int] = Outbox(3)
    for number in range(5):
        box.put(number)
    assert (len(box), box.take(2), box.take(9), box.take(9)) == (3, [0, 1], [2], [])
    assert (box.take_lost(), box.take_lost()) == (2, 0)
    box.put(5)
    assert box.take(1) == [5]
