"""The box is started anew under traffic: everybody is answered, and it is learned of anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import openai

from gateway.sandbox.generator.server import serve
from gateway.sandbox.generator.settings import GeneratorSettings
from gateway.sandbox.hosting import free_port
from tests.gateway_process import ADMIN_KEY, API_KEY, GatewayProcess
from tests.server.fleets import box, metered

BODY: dict[str, Any] = {"model": "tuned", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 12}
BY_THE_POLICY = 1 / 50
AS_THE_POLICY_SAYS = GeneratorSettings(models=("up",), tokens_per_second=50)
SLOW = GeneratorSettings(models=("up",), tokens_per_second=20)


async def until(kept: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + 60
    while not await kept():
        assert time.monotonic() < deadline, f"after a minute it was not so that {what}"
        await asyncio.sleep(0.1)


async def ask(client: openai.AsyncOpenAI, *, stream: bool, pin: str | None = None) -> str:
    """Who answered. Raises when nobody did."""
    headers = {} if pin is None else {"x-crossover-backend": pin}
    response = await client.chat.completions.with_raw_response.create(
        **BODY, stream=stream, extra_headers=headers, extra_body={"ignore_eos": True}
    )
    parsed: Any = response.parse()
    if stream:
        assert [chunk async for chunk in parsed]
    return response.headers["x-crossover-backend"]


async def test_a_box_that_is_started_anew_under_traffic(start_gateway: Callable[..., GatewayProcess]) -> None:
    port = free_port()
    async with serve(GeneratorSettings(models=("up",), tokens_per_second=200)) as cloud:
        async with serve(SLOW, port=port) as first:
            gateway = start_gateway(
                backends={
                    "box": box(first.base_url, metrics_url=f"{first.url}/metrics"),
                    "cloud": metered(cloud.base_url),
                },
                aliases={"tuned": {"served_by": [{"backend": b, "model": "up"} for b in ("box", "cloud")]}},
                routing={"scrape_seconds": 0.2},
            )
            client = openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0, timeout=60)
            http = httpx.AsyncClient(base_url=gateway.root, headers={"authorization": f"Bearer {ADMIN_KEY}"})

            async def seen(backend: str) -> Any:
                told = (await http.post("/admin/explain", json=BODY)).json()
                return next(candidate for candidate in told["candidates"] if candidate["backend"] == backend)

            async def learned() -> bool:
                await asyncio.gather(*(ask(client, stream=True, pin="box") for _ in range(4)))
                return bool((await seen("box"))["predicted_seconds_per_token"] > 1.3 * BY_THE_POLICY)

            await until(learned, "it is seen to be slower than the policy says")
            under_way = [asyncio.create_task(ask(client, stream=False)) for _ in range(6)]
            await asyncio.sleep(0.1)  # they are under way at the box
        assert set(await asyncio.gather(*under_way)) <= {"box", "cloud"}
        while_down = await asyncio.gather(*(ask(client, stream=n % 2 == 0) for n in range(6)))
        assert set(while_down) == {"cloud"}

        async def is_up(up: bool) -> bool:
            return bool((await http.get("/health/backends")).json()["backends"]["box"]["up"] is up)

        await until(lambda: is_up(False), "it is seen to be gone")
        assert (await seen("box"))["excluded"] == "it is down"
        async with serve(AS_THE_POLICY_SAYS, port=port):
            await until(lambda: is_up(True), "it is seen to be back")
            at_first = (await seen("box"))["predicted_seconds_per_token"]
            assert 0.5 * BY_THE_POLICY < at_first < 4 * BY_THE_POLICY

            async def learned_anew() -> bool:
                await asyncio.gather(*(ask(client, stream=True, pin="box") for _ in range(4)))
                return bool((await seen("box"))["predicted_seconds_per_token"] < at_first)

            await until(learned_anew, "it is seen to be quicker than the server before it")
        await client.close()
        await http.aclose()
