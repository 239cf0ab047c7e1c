"""What goes out is what came in, but for the model's name and the usage; what comes back is byte for byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import openai

from tests.gateway_process import API_KEY, GatewayProcess
from tests.scripted_peer import Connection, scripted_peer, usage, word
from tests.server.fleets import one

Start = Callable[..., GatewayProcess]
BODY = (
    b'{ "messages":[{"role":"user","content":[{"type":"text","text":"\\u00e9 \xc3\xa9"},'
    b'{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}],"temperature":1.0e0,"unknown":{"a":[1,2.50]},'
    b'"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"logprobs":true,"n":2,"model":"tuned"}'
)


async def post(gateway: GatewayProcess, body: bytes, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.post(gateway.url + "/chat/completions", content=body, headers=gateway.headers() | headers)


async def test_all_fields_reach_the_backend_untouched_but_for_the_model(start_gateway: Start) -> None:
    async with scripted_peer() as peer:
        gateway = start_gateway(**one(peer.url))
        assert (await post(gateway, BODY)).status_code == 200
        sent = peer.requests[0]
        assert json.loads(sent.body) == json.loads(BODY) | {"model": "up/stream"}
        assert b'"unknown":{"a":[1,2.50]}' in sent.body
        assert b'"temperature":1.0e0' in sent.body
        assert API_KEY not in str(sent.headers)


async def test_a_long_prompt_is_no_long_head_however_its_bytes_arrive(start_gateway: Start) -> None:
    prompt = "What does it say? " * 11_000
    body = json.dumps({"model": "tuned", "messages": [{"role": "user", "content": prompt}]}).encode()
    async with scripted_peer() as peer, httpx.AsyncClient() as client:
        gateway = start_gateway(**one(peer.url))
        url, headers = gateway.url + "/chat/completions", gateway.headers()
        answers = [await client.post(url, content=body, headers=headers) for _ in range(25)]
    assert [answer.status_code for answer in answers] == [200] * 25


async def test_a_stream_is_asked_for_its_usage_and_the_client_sees_it_only_when_it_asked(start_gateway: Start) -> None:
    async with scripted_peer() as peer:
        gateway = start_gateway(**one(peer.url))
        client = openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY)
        messages: Any = [{"role": "user", "content": "hi"}]
        for asked in (False, True):
            options: Any = {"include_usage": True, "extra": 1} if asked else {"continuous_usage_stats": True}
            stream = await client.chat.completions.create(
                model="tuned", messages=messages, stream=True, stream_options=options
            )
            chunks = [chunk async for chunk in stream]
            assert [c.usage.completion_tokens for c in chunks if c.usage] == ([1] if asked else [])
            sent = json.loads(peer.requests[-1].body)["stream_options"]
            assert sent == ({"include_usage": True, "extra": 1} if asked else {"include_usage": True})
        assert (await asyncio.to_thread(gateway.books))["box"]["output_tokens"] == 2


async def test_events_are_passed_on_before_the_next_is_there(start_gateway: Start) -> None:
    go_on = asyncio.Event()

    async def wait_between(connection: Connection) -> None:
        await connection.start_stream()
        await connection.event(word("first"))
        await go_on.wait()
        await connection.event(word("second"))
        await connection.event(usage(1, 2))
        await connection.event("[DONE]")
        await connection.end_stream()

    async with scripted_peer(wait_between) as peer:
        gateway = start_gateway(**one(peer.url))
        client = openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY)
        stream = aiter(
            await client.chat.completions.create(
                model="tuned", messages=[{"role": "user", "content": "hi"}], stream=True
            )
        )
        first = await asyncio.wait_for(anext(stream), 10)
        assert first.choices[0].delta.content == "first"
        go_on.set()
        assert (await anext(stream)).choices[0].delta.content == "second"


async def test_the_answer_says_who_gave_it_and_why(start_gateway: Start) -> None:
    async with scripted_peer() as peer:
        gateway = start_gateway(**one(peer.url))
        response = await post(gateway, BODY, **{"x-request-id": "mine-1"})
        assert response.headers["x-crossover-backend"] == "box"
        assert response.headers["x-crossover-reason"] == "only_choice"
        assert response.headers["x-crossover-adapter"] == "domain@v0001"
        assert response.headers["x-request-id"] == "mine-1"
        decision = await asyncio.to_thread(gateway.admin, "decisions/" + response.headers["x-crossover-decision"])
        assert decision["chosen"] == "box"
        assert decision["request"]["demands"] == [
            "logprobs",
            "messages.image_url",
            "n",
            "temperature",
            "tools",
            "unknown",
        ]
        candidate = decision["candidates"][0]
        assert candidate["predicted_ttft_seconds"] > 0
        assert candidate["marginal_usd"] == 0


async def test_completions_go_to_completions(start_gateway: Start) -> None:
    async with scripted_peer() as peer:
        gateway = start_gateway(**one(peer.url))
        async with httpx.AsyncClient() as client:
            await client.post(
                gateway.url + "/completions", json={"model": "tuned", "prompt": "x"}, headers=gateway.headers()
            )
        assert peer.requests[0].target == "/v1/completions"


async def test_a_backend_with_an_api_key_is_sent_its_own(start_gateway: Start) -> None:
    async with scripted_peer() as peer:
        gateway = start_gateway(**one(peer.url, api_key="upstream-secret"))
        await post(gateway, BODY)
        assert peer.requests[0].headers["authorization"] == "Bearer upstream-secret"
        assert "upstream-secret" not in str(await asyncio.to_thread(gateway.admin, "policy"))


async def test_embeddings_go_to_a_backend_that_embeds(start_gateway: Start) -> None:
    async def embed(connection: Connection) -> None:
        vector = {"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}
        counts = {"prompt_tokens": 3, "total_tokens": 3}
        await connection.json({"object": "list", "model": "e", "data": [vector], "usage": counts})

    async with scripted_peer(embed) as peer:
        policy = one(peer.url)
        policy["aliases"]["vectors"] = {"served_by": [{"backend": "box", "model": "e", "embeddings": True}]}
        gateway = start_gateway(**policy)
        client = openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY)
        made = await client.embeddings.create(model="vectors", input="x", encoding_format="float")
        assert made.data[0].embedding == [0.5, 1.0]
        assert peer.requests[0].target == "/v1/embeddings"
        assert (await asyncio.to_thread(gateway.books))["box"]["input_tokens"] == 3
