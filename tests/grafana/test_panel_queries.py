"""Every query of every panel, asked of a real Prometheus with the shipped rules that scrapes a gateway at work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.sandbox.bedrock.server import serve_in_thread as bedrock_in_thread
from gateway.sandbox.generator.server import serve_in_thread as box_in_thread
from gateway.sandbox.generator.settings import GeneratorSettings
from tests.end_to_end.fleets import FOUNDATION, IMPORTED, cloud, sandbox_settings
from tests.gateway_process import API_KEY, FAST_BOX, GatewayProcess
from tests.grafana.panels import Asked, queries, substituted
from tests.prometheus_server import PrometheusServer, prometheus_server

pytestmark = pytest.mark.xdist_group("panel queries")

RULES = [Path(__file__).parents[2] / "deploy/prometheus/rules" / name for name in ("recording.yml", "alerts.yml")]
SCRAPE_SECONDS = 0.5
STEP_SECONDS = 1
ROUNDS = 6


def policy(box_url: str, bedrock_url: str) -> dict[str, Any]:
    """A box, an imported model, a base model by the token, every ceiling, a budget: something for each panel."""
    box = {
        "wire": "openai", "base_url": box_url, "simulated": True, "speed": FAST_BOX,
        "cost": {"kind": "amortized", "usd_per_month": 200},
    }  # fmt: skip
    ceiling = {"ttft_seconds": 10, "seconds_per_output_token": 1, "latency_seconds": 30}

    def served(backend: str, model: str, **how: str) -> dict[str, Any]:
        return {"ceiling": ceiling, "served_by": [{"backend": backend, "model": model, **how}]}

    return {
        "backends": {"box": box, **cloud(bedrock_url)},
        "aliases": {
            "tuned": served("box", "tuned", generation="handbook@v0001"),
            "imported": served("cmi", IMPORTED, generation="handbook@v0001"),
            "base": served("bedrock-base", FOUNDATION, api="converse"),
        },
        "budget": {"usd_per_month": 300},
    }


async def send_traffic(url: str) -> None:
    """Some seconds of streams to every backend."""
    async with openai.AsyncOpenAI(base_url=url, api_key=API_KEY, max_retries=0, timeout=30) as client:

        async def one(model: str) -> None:
            messages: Any = [{"role": "user", "content": "May I carry leave over?"}]
            stream = await client.chat.completions.create(model=model, messages=messages, max_tokens=12, stream=True)
            async for _ in stream:
                pass

        for _ in range(ROUNDS):
            await asyncio.gather(*(one(model) for model in ("tuned", "imported", "base")), asyncio.sleep(0.7))


@dataclass(frozen=True)
class Watched:
    """A Prometheus that saw a gateway idle until `traffic_at`, then busy until `until` (Unix seconds)."""

    prometheus: PrometheusServer
    since: float
    traffic_at: float
    until: float

    def ask(self, asked: Asked, *, idle: bool = False) -> list[list[float]]:
        """The values of each series."""
        at = self.traffic_at if idle else self.until
        variables = {
            "instance": ".+",
            "__rate_interval": f"{max(STEP_SECONDS + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS):g}s",
            "__range": f"{max(1, round(at - self.since))}s",
        }
        expr = substituted(asked.expr, variables)
        if asked.instant:
            return [[sample.value] for sample in self.prometheus.query(expr, at=at)]
        found = self.prometheus.query_range(expr, self.since, at, STEP_SECONDS)
        return [[value for _, value in points] for _, points in found]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("panels")
    box = GeneratorSettings(tokens_per_second=100, max_tokens_per_second=400, first_token_seconds=0.02)
    with box_in_thread(box) as vllm, bedrock_in_thread(sandbox_settings()) as bedrock:
        gateway = GatewayProcess(policy(vllm.base_url, bedrock.url), folder)
        page = {"crossover": [gateway.metrics_url]}
        with prometheus_server(page, folder / "prometheus", RULES, scrape_seconds=SCRAPE_SECONDS) as prometheus:
            try:
                prometheus.wait_for_scrapes(4)
                traffic_at = time.time()
                asyncio.run(send_traffic(gateway.url))
                prometheus.wait_for(
                    lambda: bool(prometheus.query("crossover:window_busy:ratio_rate20m")), "the last rule has a value"
                )
                time.sleep(3 * SCRAPE_SECONDS)
                yield Watched(prometheus, traffic_at - 4 * SCRAPE_SECONDS, traffic_at, time.time())
            finally:
                gateway.close()


@pytest.mark.parametrize("asked", [pytest.param(asked, id=str(asked)) for asked in queries()])
def test_a_query_has_an_answer_and_every_value_is_a_number(asked: Asked, watched: Watched) -> None:
    series = watched.ask(asked)
    assert series, "no series: the panel would be empty"
    assert all(points and all(map(isfinite, points)) for points in series)
    assert all(map(isfinite, [value for points in watched.ask(asked, idle=True) for value in points]))


def test_every_rule_that_the_panels_read_is_well(watched: Watched) -> None:
    assert [(rule["name"], rule["lastError"]) for rule in watched.prometheus.rules() if rule["health"] == "err"] == []
