"""Three counts of the same traffic, made apart: Prometheus's of the gateway's series, the gateway's ledger, and the
bill of the Bedrock sandbox. And the real vLLM's own count of its tokens."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from math import isfinite
from typing import Any, TypeAlias

import httpx
import openai
import pytest

from gateway.metering.ledger import reading
from gateway.sandbox.bedrock.reconcile import differences
from gateway.sandbox.bedrock.server import Served
from gateway.sandbox.bedrock.server import serve as serve_bedrock
from gateway.sandbox.generator.server import serve
from gateway.sandbox.generator.settings import GeneratorSettings
from tests.deploy.fleets import by_the_month, openai_wire, served_by
from tests.end_to_end.fleets import FOUNDATION, IMPORTED, cloud, cloud_aliases, sandbox_settings
from tests.gateway_process import API_KEY, GatewayProcess
from tests.prometheus_server import ROOT, PrometheusServer
from tests.vllm_fixture import RunningVllm

StartGateway: TypeAlias = Callable[..., GatewayProcess]
StartPrometheus: TypeAlias = Callable[..., PrometheusServer]
Figures: TypeAlias = dict[tuple[str, ...], int]
"""What is counted, and of whom: tokens, requests, windows, and nano-dollars."""

RECORDING_RULES = ROOT / "deploy/prometheus/rules/recording.yml"
MODELS = {"cmi": IMPORTED, "bedrock-base": FOUNDATION}
SETTLED_SECONDS = 30.0

COUNTS = {
    ("tokens", "backend", "token_type"): "sum by (backend, token_type) (crossover_tokens_total)",
    ("windows", "backend"): "sum by (backend) (crossover_windows_total)",
    ("verdict", "verdict"): "sum by (verdict) (crossover_judged_requests_total)",
}
DOLLARS = {
    ("cost", "backend"): "sum by (backend) (crossover_cost_usd_total)",
    ("busy", "backend"): "sum by (backend) (crossover_busy_cost_usd_total)",
    ("elsewhere", "served_by", "priced_as"): "sum by (served_by, priced_as) (crossover_counterfactual_cost_usd_total)",
    ("alone", "path"): "sum by (path) (crossover_single_path_cost_usd_total)",
}
LEDGER = """
SELECT 'tokens', backend, 'input', SUM(input_tokens) FROM attempts GROUP BY backend
UNION ALL SELECT 'tokens', backend, 'output', SUM(output_tokens) FROM attempts GROUP BY backend
UNION ALL SELECT 'verdict', verdict, NULL, COUNT(*) FROM operations WHERE verdict IS NOT NULL GROUP BY verdict
UNION ALL SELECT 'windows', backend, NULL, COUNT(*) FROM windows GROUP BY backend
UNION ALL SELECT 'busy', backend, NULL, SUM(n) FROM (
    SELECT backend, busy_nanousd AS n FROM accruals UNION ALL SELECT backend, nanousd FROM window_busy
    UNION ALL SELECT backend, nanousd FROM attempts) GROUP BY backend
UNION ALL SELECT 'alone', priced_as, NULL, SUM(nanousd) FROM counterfactuals WHERE served_by = '*' GROUP BY priced_as
UNION ALL SELECT 'elsewhere', served_by, priced_as, SUM(nanousd) FROM counterfactuals WHERE served_by <> '*'
    GROUP BY served_by, priced_as
"""


def of_prometheus(prometheus: PrometheusServer) -> Figures:
    """As it stands after a scrape that began after this was called. What is 0 is left out."""
    fresh = f"timestamp(up) > {time.time()}"
    prometheus.wait_for(lambda: bool(prometheus.query(fresh)), "another scrape")
    figures = {}
    for queries, unit in ((COUNTS, 1.0), (DOLLARS, 1e9)):
        for (what, *labels), query in queries.items():
            for sample in prometheus.query(query):
                figures[what, *(sample.labels[label] for label in labels)] = round(sample.value * unit)
    return {name: value for name, value in figures.items() if value}


def of_ledger(gateway: GatewayProcess) -> Figures:
    """From the file itself, and from /admin/books, which brings it up to date first."""
    figures = {("cost", backend): row["nanousd"] for backend, row in gateway.books().items()}
    with reading(gateway.ledger) as connection:
        for *name, value in connection.execute(LEDGER):
            figures[tuple(part for part in name if part is not None)] = value
    return {name: value for name, value in figures.items() if value}


def agreed(
    prometheus: PrometheusServer, gateway: GatewayProcess, sandbox: Served
) -> tuple[Figures, Figures, list[str]]:
    """Prometheus's figures, the ledger's, and how its bill differs, once every window is over. What the box's month has
    cost goes on meanwhile: it must lie between two readings of the ledger, and is taken out."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while True:
        before, seen, after = of_ledger(gateway), of_prometheus(prometheus), of_ledger(gateway)
        month = ("cost", "box")
        assert before.pop(month) <= seen.pop(month) <= after.pop(month)
        bill = httpx.get(f"{sandbox.url}/_sandbox/bill", trust_env=False).json()
        differing = differences(gateway.books(), bill, MODELS)
        if (seen == after and not differing) or time.monotonic() > deadline:
            return seen, after, differing
        time.sleep(0.2)


async def test_prometheus_the_ledger_and_the_bill_agree_to_the_token_and_the_nano_dollar(
    start_gateway: StartGateway, start_prometheus: StartPrometheus
) -> None:
    async with serve_bedrock(sandbox_settings()) as sandbox, serve(GeneratorSettings(models=("up",))) as box:
        gateway = await asyncio.to_thread(
            start_gateway,
            backends=cloud(sandbox.url) | {"box": openai_wire(box.base_url, by_the_month())},
            aliases=cloud_aliases() | {"tuned": served_by("box", ceiling={"latency_seconds": 30})},
            routing={"scrape_seconds": 0.1},
            budget={"usd_per_month": 300},
        )
        prometheus = await asyncio.to_thread(
            start_prometheus, {"crossover": [gateway.metrics_url]}, rules=[RECORDING_RULES], scrape_seconds=0.5
        )
        await asyncio.to_thread(prometheus.wait_for_scrapes)  # every counter is seen at 0
        async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:

            async def ask(model: str, number: int) -> None:
                events = await client.chat.completions.create(
                    model=model,
                    messages=[{"role": "user", "content": f"Question {number}"}],
                    max_tokens=5 + number,
                    stream=True,
                )
                assert [event async for event in events]

            for _ in range(2):
                await asyncio.gather(
                    *(ask(model, number) for model in (*cloud_aliases(), "tuned") for number in range(4))
                )
                await asyncio.sleep(1.5)
        seen, booked, differing = await asyncio.to_thread(agreed, prometheus, gateway, sandbox)
        assert seen == booked
        assert differing == []
        assert {name[0] for name in seen} == {name[0] for name in (*COUNTS, *DOLLARS)}
        assert await asyncio.to_thread(uncounted, prometheus, "box") == {"input": 0, "output": 0}
        await asyncio.to_thread(check_recorded, prometheus, gateway)


def check_recorded(prometheus: PrometheusServer, gateway: GatewayProcess) -> None:
    """Every recorded series has a figure, and $ per 1M tokens are the ledger's."""
    names = re.findall(r"record: (\S+)", RECORDING_RULES.read_text())
    assert names
    for name in names:
        samples = prometheus.query(name)
        assert samples, name
        assert all(isfinite(sample.value) for sample in samples), samples
    assert [rule["lastError"] for rule in prometheus.rules() if rule["health"] != "ok"] == []
    booked = {name: row["usd_per_1m_output_tokens"] for name, row in gateway.books().items() if name in MODELS}

    def the_same() -> bool:
        """The rules are worked out twice a second: the last of a window may not be in them yet."""
        samples = prometheus.query('crossover:usd_per_1m_output_tokens:rate1h{basis="reservation",backend!="box"}')
        return {sample.labels["backend"]: sample.value for sample in samples} == pytest.approx(booked, rel=1e-9)

    prometheus.wait_for(the_same, f"$ per 1M output tokens as booked: {booked}", 5.0)


def uncounted(prometheus: PrometheusServer, backend: str) -> dict[str, float]:
    """Tokens that a backend counted by itself and the gateway did not, by type."""
    told = prometheus.query(f'sum by (token_type) (crossover_backend_reported_tokens_total{{backend="{backend}"}})')
    ours = prometheus.query(f'sum by (token_type) (crossover_tokens_total{{backend="{backend}"}})')
    assert all(sample.value > 0 for sample in (*told, *ours))
    counted = {sample.labels["token_type"]: sample.value for sample in ours}
    return {sample.labels["token_type"]: sample.value - counted[sample.labels["token_type"]] for sample in told}


@pytest.mark.vllm
async def test_the_real_vllm_counts_the_tokens_that_the_gateway_counts(
    start_gateway: StartGateway, start_prometheus: StartPrometheus, vllm_server: RunningVllm
) -> None:
    gateway = await asyncio.to_thread(
        start_gateway,
        backends={"box": openai_wire(vllm_server.base_url, by_the_month())},
        aliases={
            "base": served_by("box", model=vllm_server.base_model),
            "tuned": served_by("box", model=vllm_server.tuned_model),
        },
        routing={"scrape_seconds": 0.1},
    )
    reported = 'crossover_backend_reported_tokens_total{backend="box",token_type="output"}'
    await asyncio.to_thread(gateway.wait_for_metric, reported, 0.0)  # from now on it is counted
    prometheus = await asyncio.to_thread(start_prometheus, {"crossover": [gateway.metrics_url]}, scrape_seconds=0.5)
    async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:

        async def ask(model: str, stream: bool) -> None:
            messages: Any = [{"role": "user", "content": "Name three colours."}]
            answer: Any = await client.chat.completions.create(
                model=model, messages=messages, max_tokens=12, stream=stream
            )
            if stream:
                assert [event async for event in answer]

        await asyncio.gather(*(ask(model, stream) for model in ("base", "tuned") for stream in (True, False)))

    def agree() -> bool:
        return uncounted(prometheus, "box") == {"input": 0, "output": 0}

    await asyncio.to_thread(prometheus.wait_for_scrapes)
    await asyncio.to_thread(prometheus.wait_for, agree, "vLLM and the gateway agree")
