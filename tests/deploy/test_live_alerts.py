"""Deliberate faults, live: real gateways, scraped by the real Prometheus, raise exactly the alerts that they should.

The rules are the shipped ones with shorter times (`tests/deploy/shortened.py`). Every fault has a backend of its own,
so that each alert names its cause; beside them, a healthy backend is served all the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import yaml

from gateway.sandbox.bedrock.server import serve as serve_bedrock
from gateway.sandbox.generator.server import serve
from gateway.sandbox.generator.settings import GeneratorSettings
from tests.deploy.fleets import NOBODY, by_the_month, by_the_token, openai_wire, served_by
from tests.deploy.shortened import RULES, shortened_rules, shorter
from tests.end_to_end.fleets import IMPORTED, bedrock, sandbox_settings
from tests.gateway_process import GatewayProcess
from tests.prometheus_server import PrometheusServer
from tests.scripted_peer import Connection, Peer, answer, scripted_peer

NOT_LIVE = {
    "CrossoverCopiesOutsideTheBooks": "a gateway asks CloudWatch once a minute, longer than this test may take",
}
"""Alerts that only promtool's tests raise, and why."""

FAULTS = {
    ("CrossoverBackendDown", "dying"),
    ("CrossoverBoxBelowCrossover", "box", "cmi"),
    ("CrossoverBoxBelowCrossover", "box", "dear"),
    ("CrossoverCeilingMisses", "sluggish"),
    ("CrossoverErrorBudgetBurn", "page"),
    ("CrossoverErrorBudgetBurn", "ticket"),
    ("CrossoverGatewayDown", "second"),
    ("CrossoverLedgerNotWritten", "first"),
    ("CrossoverLoopLag", "second"),
    ("CrossoverSpendAboveBudget",),
    ("CrossoverTokensDifferFromBackend", "miscounting", "output"),
    ("CrossoverUnpricedTokens", "unpriced", "unpriced"),
    ("CrossoverWindowOpenWithoutTraffic", "cmi"),
}
"""Alert, and what it names as the cause. The idle box loses against the two paths that are dear enough to lose against;
against the cheap ones its crossover lies above 1."""

WORDS = "one two three four five six seven eight nine ten"
TOKENS = len(WORDS.split())
CHEAP, DEAR = 0.01, 2000.0
"""$ per 1M tokens."""
QUICK = {"scrape_seconds": 0.1}


def test_every_shipped_alert_is_raised_live_or_said_to_be_not() -> None:
    groups = yaml.safe_load((RULES / "alerts.yml").read_text())["groups"]
    shipped = {rule["alert"] for group in groups for rule in group["rules"]}
    assert {fault[0] for fault in FAULTS} | set(NOT_LIVE) == shipped


async def test_each_fault_raises_the_alert_it_should_and_no_other(
    start_gateway: Callable[..., GatewayProcess], start_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    box = GeneratorSettings(models=("up",))
    async with contextlib.AsyncExitStack() as stack:
        imported = sandbox_settings(cold_start_seconds=0).model_copy(update={"time_scale": 1})
        sandbox = await stack.enter_async_context(serve_bedrock(imported))
        healthy, others, beside = [await stack.enter_async_context(serve(box)) for _ in range(3)]
        dying_stack = await stack.enter_async_context(contextlib.AsyncExitStack())
        dying = await dying_stack.enter_async_context(serve(box))
        miscounting = await stack.enter_async_context(scripted_peer(answer(WORDS)))
        sluggish = await stack.enter_async_context(scripted_peer(answer(WORDS)))
        counted = Count(miscounting)
        backends = {
            "healthy": openai_wire(healthy.base_url, by_the_token(CHEAP)),
            "dying": openai_wire(dying.base_url, by_the_token(CHEAP)),
            "miscounting": openai_wire(miscounting.url, by_the_token(CHEAP)),
            "sluggish": openai_wire(sluggish.url, by_the_token(CHEAP), metrics_url=""),
            "unpriced": openai_wire(others.base_url, None, metrics_url=""),
            "dear": openai_wire(others.base_url, by_the_token(DEAR), metrics_url=""),
            "box": openai_wire(f"{NOBODY}/v1", by_the_month(), metrics_url=""),
            "cmi": bedrock(sandbox.url, {"kind": "window", "usd_per_unit_minute": 0.05718, "cold_start_seconds": 0}),
        }
        aliases = {name: served_by(name) for name in backends}
        aliases["cmi"] = served_by("cmi", model=IMPORTED)
        aliases["sluggish"] = served_by("sluggish", ceiling={"latency_seconds": 1.0})
        first = await asyncio.to_thread(
            start_gateway, backends=backends, aliases=aliases, budget={"usd_per_month": 100_000}, routing=QUICK
        )
        second = await asyncio.to_thread(
            start_gateway,
            backends={"beside": openai_wire(beside.base_url, by_the_token(CHEAP))},
            aliases={"beside": served_by("beside")},
            routing=QUICK,
        )
        pages = {"first": first.metrics_url, "second": second.metrics_url}
        prometheus = await asyncio.to_thread(
            start_prometheus, {"crossover": list(pages.values())}, rules=shortened_rules(tmp_path), scrape_seconds=0.5
        )
        load = await stack.enter_async_context(traffic(first))
        load.go("healthy", 4)
        load.go("dying", 2)
        load.go("sluggish", 12)
        counting = load.go("miscounting", 8)
        (await stack.enter_async_context(traffic(second))).go("beside", 2)

        watched = Watched(prometheus, pages)
        await asyncio.to_thread(prometheus.wait_for_scrapes)
        await asyncio.sleep(shorter(3600))
        assert await watched.fired() == set()  # before any fault
        began = time.monotonic()

        await dying_stack.aclose()
        counted.each = 2 * TOKENS
        sluggish.script = late(1.2)
        load.go("unpriced", 2)
        load.go("dear", 4)
        load.once("cmi")
        locked = sqlite3.connect(first.ledger, isolation_level=None)
        stack.callback(locked.close)
        locked.execute("BEGIN EXCLUSIVE")
        halting = await stack.enter_async_context(halted_now_and_then(second))
        await watched.until({fault for fault in FAULTS if fault[0] != "CrossoverGatewayDown"})
        assert not counting.done()

        await halting()
        await asyncio.to_thread(second.kill)
        await watched.until({fault for fault in FAULTS if fault[0] != "CrossoverLoopLag"})
        assert await watched.fired_within(time.monotonic() - began) == FAULTS
        locked.execute("ROLLBACK")


class Count:
    """What the miscounting peer's metrics page says: `each` tokens for each answer that it has begun."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._answer = peer.script
        self._prompts = self._tokens = 0
        self.each = TOKENS
        peer.script = self._counted
        self._write()

    async def _counted(self, connection: Connection) -> None:
        await self._answer(connection)
        self._prompts += 7
        self._tokens += self.each
        self._write()

    def _write(self) -> None:
        lines = {
            "num_requests_running": 0,
            "prompt_tokens_total": self._prompts,
            "generation_tokens_total": self._tokens,
        }
        self._peer.metrics = "".join(f'vllm:{name}{{model_name="up"}} {n}\n' for name, n in lines.items()).encode()


def late(seconds: float) -> Callable[[Connection], Any]:
    async def script(connection: Connection) -> None:
        await asyncio.sleep(seconds)
        await answer(WORDS)(connection)

    return script


class Load:
    """Traffic for one gateway: each model asked over and over until the end, failures included."""

    def __init__(self, gateway: GatewayProcess, client: httpx.AsyncClient, tasks: asyncio.TaskGroup) -> None:
        self._gateway, self._client, self._tasks = gateway, client, tasks
        self._running: list[asyncio.Task[None]] = []

    def go(self, model: str, per_second: float) -> asyncio.Task[None]:
        task = self._tasks.create_task(self._keep_asking(model, per_second))
        self._running.append(task)
        return task

    def once(self, model: str) -> None:
        self._running.append(self._tasks.create_task(self._ask(model)))

    def stop(self) -> None:
        for task in self._running:
            task.cancel()

    async def _keep_asking(self, model: str, per_second: float) -> None:
        while True:
            self._running.append(self._tasks.create_task(self._ask(model)))
            await asyncio.sleep(1 / per_second)

    async def _ask(self, model: str) -> None:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": TOKENS, "stream": True}
        with contextlib.suppress(httpx.HTTPError):
            await self._client.post(f"{self._gateway.url}/chat/completions", json=body)


@contextlib.asynccontextmanager
async def traffic(gateway: GatewayProcess) -> AsyncIterator[Load]:
    client = httpx.AsyncClient(headers=gateway.headers(), timeout=10, trust_env=False)
    async with client, asyncio.TaskGroup() as tasks:
        load = Load(gateway, client, tasks)
        try:
            yield load
        finally:
            load.stop()


@contextlib.asynccontextmanager
async def halted_now_and_then(gateway: GatewayProcess) -> AsyncIterator[Callable[[], Any]]:
    """The process gets no CPU for 0.3 s, over and over: what a crowded machine does. What is yielded ends it."""

    async def halt() -> None:
        while True:
            gateway.process.send_signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(0.3)
            finally:
                gateway.process.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.3)

    task = asyncio.create_task(halt())

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    try:
        yield end
    finally:
        await end()


class Watched:
    """The alerts of one Prometheus, as (alert, what it names as the cause)."""

    def __init__(self, prometheus: PrometheusServer, pages: dict[str, str]) -> None:
        self._prometheus = prometheus
        self._names = {page.split("/")[2]: name for name, page in pages.items()}

    def _cause(self, labels: dict[str, str]) -> tuple[str, ...]:
        if labels["alertname"] == "CrossoverErrorBudgetBurn":
            return labels["alertname"], labels["severity"]
        if "instance" in labels:
            return labels["alertname"], self._names[labels["instance"]]
        named = (labels.get(label) for label in ("box", "against", "backend", "model", "token_type"))
        return labels["alertname"], *(value for value in named if value is not None)

    async def fired(self) -> set[tuple[str, ...]]:
        """Firing now."""
        alerts = await asyncio.to_thread(self._prometheus.alerts)
        return {self._cause(alert["labels"]) for alert in alerts if alert["state"] == "firing"}

    async def fired_within(self, seconds: float) -> set[tuple[str, ...]]:
        """Firing at any time of the last `seconds`."""
        query = f'count_over_time(ALERTS{{alertstate="firing"}}[{round(seconds)}s])'
        return {self._cause(sample.labels) for sample in await asyncio.to_thread(self._prometheus.query, query)}

    async def until(self, expected: set[tuple[str, ...]], timeout_seconds: float = 40.0) -> None:
        """Until just these fire."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while (fired := await self.fired()) != expected:
            missing, other = sorted(expected - fired), sorted(fired - expected)
            assert asyncio.get_running_loop().time() < deadline, f"missing: {missing}; not expected: {other}"
            await asyncio.sleep(0.25)
