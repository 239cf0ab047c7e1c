"""Predictions are held against what came, on the metrics page of a real gateway in front of the generator box."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import openai

from gateway.sandbox.generator.server import serve
from gateway.sandbox.generator.settings import GeneratorSettings
from tests.gateway_process import API_KEY, GatewayProcess
from tests.server.fleets import one

SERIES = ("prediction_error_ratio", "prediction_bias_ratio", "prediction_p95_coverage_ratio")


def shown(page: str) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in page.splitlines() if line.startswith("crossover_prediction_"))
    return {name: float(value) for name, _, value in lines}


async def test_each_streamed_answer_is_held_against_its_prediction(
    start_gateway: Callable[..., GatewayProcess],
) -> None:
    async with serve(GeneratorSettings(models=("up/stream",), tokens_per_second=100)) as box:
        gateway = start_gateway(**one(box.base_url))
        client = openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY)
        messages: Any = [{"role": "user", "content": "hi"}]

        async def ask() -> None:
            stream = await client.chat.completions.create(
                model="tuned", messages=messages, stream=True, max_tokens=8, extra_body={"ignore_eos": True}
            )
            assert [chunk async for chunk in stream]

        async with httpx.AsyncClient() as http:
            before = shown((await http.get(gateway.metrics_url)).text)
            assert not [name for name in before if "quantity" in name]
            await asyncio.gather(*(ask() for _ in range(6)))
            deadline = time.monotonic() + 20
            while True:
                after = shown((await http.get(gateway.metrics_url)).text)
                if len(after) == len(SERIES) * 2 + 1 or time.monotonic() > deadline:
                    break
                await asyncio.sleep(0.2)
        for series in SERIES:
            for quantity in ("ttft", "time_per_token"):
                assert after[f'crossover_{series}{{backend="box",quantity="{quantity}"}}'] >= 0
        assert 0.5 <= after['crossover_prediction_margin_ratio{backend="box"}'] <= 1
