"""The console's figures are the books' figures: after real traffic they equal the series and the ledger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from tests.gateway_process import ADMIN_KEY, API_KEY, GatewayProcess
from tests.scripted_peer import answer, scripted_peer
from tests.server.fleets import box, metered


async def state_of(gateway: GatewayProcess) -> dict[str, Any]:
    root = gateway.url.removesuffix("/v1")
    async with httpx.AsyncClient(base_url=root, headers={"origin": root}) as client:
        assert (await client.post("/console/login", json={"key": ADMIN_KEY})).status_code in (200, 204, 303)
        return json.loads((await client.get("/console/api/state")).text)


async def test_money_and_tokens_equal_the_series_and_the_ledger(start_gateway: Callable[..., GatewayProcess]) -> None:
    async with scripted_peer(answer("hello there")) as peer:
        gateway = start_gateway(
            backends={"box": box(peer.url), "base": metered(peer.url), "unpriced": box(peer.url, cost=None)},
            aliases={
                name: {"served_by": [{"backend": backend, "model": "m"}]}
                for name, backend in (("tuned", "box"), ("plain", "base"), ("free", "unpriced"))
            },
        )
        async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:
            for model in ("tuned", "plain", "plain", "free"):
                await client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
        await asyncio.sleep(1.2)  # the books' clock ticks once a second
        state = await state_of(gateway)
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {ADMIN_KEY}"}) as client:
            answered = await client.get(f"{gateway.url.removesuffix('/v1')}/admin/books")
        booked = {row["backend"]: row for row in answered.json()["backends"]}
    paths = {path["name"]: path for path in state["paths"]}
    for name, path in paths.items():
        assert path["input_tokens"] == booked[name]["input_tokens"]
        assert path["output_tokens"] == booked[name]["output_tokens"]
        assert path["requests"] == booked[name]["requests"]
    assert paths["base"]["cost_usd_since_start"] == booked["base"]["usd"]
    assert paths["base"]["cost_usd_since_start"] == pytest.approx(
        gateway.metric('crossover_cost_usd_total{backend="base",cost_kind="per_token"}')
    )
    assert 0 < paths["box"]["cost_usd_since_start"] <= booked["box"]["usd"], "the books were ticked once more"
    assert paths["unpriced"]["unpriced_tokens"] == booked["unpriced"]["unpriced_tokens"] > 0
    # What the box and the unpriced backend served has the list price of `base`, on top of what that one did cost.
    tokens = sum(path["input_tokens"] + path["output_tokens"] for path in paths.values())
    assert gateway.metric('crossover_single_path_cost_usd_total{path="base"}') == pytest.approx(tokens * 0.22e-6)
    # Some of it has no price: then there is no $ per token of that path, and nothing is said to be saved.
    assert paths["unpriced"]["usd_per_1m"] == {"reservation": None, "usage": None}
    assert booked["unpriced"]["usd_per_1m_output_tokens"] is None
    assert {row["against"]: row["usd"] for row in state["tiles"]["saved"]} == {"base": None}


async def test_the_live_point_lies_on_the_boxs_own_curve(start_gateway: Callable[..., GatewayProcess]) -> None:
    async with scripted_peer(answer("hello there")) as peer:
        gateway = start_gateway(
            backends={"box": box(peer.url), "base": metered(peer.url)},
            aliases={"tuned": {"served_by": [{"backend": "box", "model": "m"}, {"backend": "base", "model": "m"}]}},
        )
        async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:
            for _ in range(5):
                await client.chat.completions.create(model="tuned", messages=[{"role": "user", "content": "hi"}])
        await asyncio.sleep(1.2)
        state = await state_of(gateway)
    tokens = sum(path["input_tokens"] + path["output_tokens"] for path in state["paths"])
    spent = state["tiles"]["spent_usd"]["since_start"]
    saved = {row["against"]: row["usd"] for row in state["tiles"]["saved"]}
    assert saved["base"] == pytest.approx(tokens * 0.22e-6 - spent)
    (at,) = state["boxes"]
    assert 0 < at["utilization"] < 1
    assert at["usd_per_1m"] == pytest.approx(at["usd_per_1m_at_full"] / at["utilization"], rel=1e-3)
    (one,) = at["crossovers"]
    assert one["utilization"] == pytest.approx(at["usd_per_1m_at_full"] / one["usd_per_1m"])
    assert gateway.metric('crossover_crossover_utilization_ratio{against="base",box="box"}') == pytest.approx(
        one["utilization"], rel=0.05
    )
