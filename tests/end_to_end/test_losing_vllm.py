"""vLLM dies under traffic: who had no byte yet is answered elsewhere, who had one is told, and it comes back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest

from gateway.sandbox.bedrock.server import serve_in_thread
from tests.end_to_end.fleets import IMPORTED, cloud, sandbox_settings
from tests.gateway_process import API_KEY, GatewayProcess
from tests.server.fleets import box
from tests.vllm_fixture import RunningVllm

pytestmark = pytest.mark.vllm
MESSAGES: Any = [{"role": "user", "content": "Tell me a long story about a lighthouse."}]


async def first_tokens(client: openai.AsyncOpenAI, count: int) -> Any:
    """A stream from the box of which `count` events have been read."""
    response = await client.chat.completions.with_raw_response.create(
        model="tuned", messages=MESSAGES, max_tokens=400, stream=True, extra_body={"ignore_eos": True},
        extra_headers={"x-crossover-backend": "box"},
    )  # fmt: skip
    assert response.headers["x-crossover-backend"] == "box"
    events = aiter(response.parse())
    for _ in range(count):
        await anext(events)
    return events


async def rest(events: Any) -> str:
    try:
        async for _ in events:
            pass
    except openai.APIError as error:
        return str(error)
    return "ended as if nothing had happened"


@pytest.fixture
def brought_back(vllm_server: RunningVllm) -> Iterator[RunningVllm]:
    """The shared server; other tests find it running whatever happens in this one."""
    yield vllm_server
    try:
        httpx.get(vllm_server.root_url + "/health", timeout=5).raise_for_status()
    except httpx.HTTPError:
        vllm_server.server.stop()  # what was killed may not have been noticed yet
        vllm_server.server.start()
        asyncio.run(vllm_server.server.wait_ready())


async def test_vllm_killed_during_traffic(
    brought_back: RunningVllm, start_gateway: Callable[..., GatewayProcess]
) -> None:
    vllm_server = brought_back
    with serve_in_thread(sandbox_settings(text_model=None)) as sandbox:
        target = {"backend": "box", "model": vllm_server.tuned_model}
        gateway = start_gateway(
            backends={
                "box": box(vllm_server.base_url, metrics_url=f"{vllm_server.root_url}/metrics"),
                **cloud(sandbox.url),
            },
            aliases={"tuned": {"served_by": [target, {"backend": "cmi", "model": IMPORTED}]}},
        )
        async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0, timeout=60) as client:
            streams = await asyncio.gather(*(first_tokens(client, 3) for _ in range(3)))
            # These have no byte yet when the server dies: a long prompt, of which nothing has been read.
            waiting = [
                asyncio.create_task(
                    client.chat.completions.create(
                        model="tuned", messages=[{"role": "user", "content": "word " * 1200}], max_tokens=8
                    )
                )
                for _ in range(3)
            ]
            await asyncio.sleep(0.3)
            os.killpg(vllm_server.pid, signal.SIGKILL)
            ends = await asyncio.gather(*(rest(events) for events in streams))
            assert all("broke off" in end for end in ends), ends
            for answer in await asyncio.gather(*waiting):
                assert answer.choices[0].message.content

            for _ in range(4):  # new requests do not notice
                response = await client.chat.completions.with_raw_response.create(
                    model="tuned", messages=MESSAGES, max_tokens=8
                )
                assert response.headers["x-crossover-backend"] == "cmi"
            assert gateway.process.poll() is None
            state = httpx.get(gateway.root + "/health/backends").json()["backends"]["box"]
            assert state["up"] is False
            assert httpx.get(gateway.root + "/health/ready").status_code == 200

            vllm_server.server.stop()
            vllm_server.server.start()
            await vllm_server.server.wait_ready()
            deadline = time.monotonic() + 20
            while not httpx.get(gateway.root + "/health/backends").json()["backends"]["box"]["up"]:
                assert time.monotonic() < deadline, "the gateway did not notice that vLLM is back"
                await asyncio.sleep(0.2)
            back = await client.chat.completions.with_raw_response.create(
                model="tuned", messages=MESSAGES, max_tokens=4
            )
            assert back.headers["x-crossover-backend"] == "box"
        books = await asyncio.to_thread(gateway.books)
        assert books["box"]["unsure_tokens"] > 0  # what the broken streams had sent is booked, and marked
        assert books["cmi"]["requests"] >= 4
