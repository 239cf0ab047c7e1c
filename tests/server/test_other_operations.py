"""/v1/responses and /v1/messages: what is booked, and what becomes of a backend that does not have the path."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.compatibility.shapes import TEXT, in_vllms_shapes
from tests.gateway_process import API_KEY, GatewayProcess
from tests.scripted_peer import Connection, scripted_peer
from tests.server.fleets import one, two
from tests.server.in_process import Running, gateway_in_process

ASKED: Any = {"model": "tuned", "max_tokens": 20, "messages": [{"role": "user", "content": "What colour is the sky?"}]}


async def without_the_path(connection: Connection) -> None:
    if connection.target in ("/v1/chat/completions", "/v1/completions"):
        await in_vllms_shapes(connection)
    else:
        await connection.json({"detail": "Not Found"}, "404 Not Found")


async def headers_of(gateway: Running, path: str, body: Any) -> httpx.Response:
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {API_KEY}"}) as client:
        return await client.post(f"{gateway.root}/v1/{path}", json=body)


def messages_client(gateway: Running) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=gateway.root, api_key=API_KEY, max_retries=0)


@pytest.mark.parametrize("status", ["404 Not Found", "405 Method Not Allowed", "501 Not Implemented"])
async def test_a_backend_without_the_path_is_passed_over_and_not_called_ill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    async def lacks(connection: Connection) -> None:
        await connection.json({"detail": "no such thing"}, status)

    async with (
        scripted_peer(lacks) as box,
        scripted_peer(in_vllms_shapes) as cloud,
        gateway_in_process(two(box.url, cloud.url), tmp_path, monkeypatch) as gateway,
        gateway.client() as client,
    ):
        for _ in range(12):
            answer = await client.responses.create(model="tuned", input="sky?")
            assert answer.output_text == TEXT
        assert len(box.requests) == 12  # its circuit never opened
        assert len(cloud.requests) == 12
        assert gateway.core.fleet.trackers["box"].askable(gateway.core.clock())
        assert gateway.metric("crossover_attempts_total", backend="box", model="tuned", outcome="client_error") == 12


async def test_where_nobody_has_the_path_the_client_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        scripted_peer(without_the_path) as box,
        gateway_in_process(one(box.url), tmp_path, monkeypatch) as gateway,
        gateway.client() as client,
        messages_client(gateway) as claude,
    ):
        with pytest.raises(openai.NotFoundError, match="does not serve /v1/responses") as refused:
            await client.responses.create(model="tuned", input="sky?")
        assert refused.value.code == "operation_not_supported"
        with pytest.raises(anthropic.NotFoundError, match="does not serve /v1/messages/count_tokens"):
            await claude.messages.count_tokens(model="tuned", messages=ASKED["messages"])
        chat = await client.chat.completions.create(model="tuned", messages=ASKED["messages"])
        assert chat.choices[0].message.content == TEXT


async def test_a_model_that_a_backend_lacks_is_told_from_a_path_that_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lacks_model(connection: Connection) -> None:
        error = {"type": "NotFoundError", "message": "The model `up/stream` does not exist."}
        await connection.json({"type": "error", "error": error}, "404 Not Found")

    async with (
        scripted_peer(lacks_model) as box,
        gateway_in_process(one(box.url), tmp_path, monkeypatch) as gateway,
        messages_client(gateway) as claude,
    ):
        with pytest.raises(anthropic.APIStatusError) as refused:
            await claude.messages.create(**ASKED)
        assert refused.value.status_code == 502
        assert "does not have the model" in refused.value.message


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["responses", "messages"])
async def test_the_backends_own_count_is_booked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, stream: bool
) -> None:
    async with (
        scripted_peer(in_vllms_shapes) as box,
        gateway_in_process(one(box.url), tmp_path, monkeypatch) as gateway,
    ):
        response = await headers_of(gateway, path, {**ASKED, "input": "sky?", "stream": stream})
        assert response.status_code == 200
        sent = json.loads(box.requests[-1].body)
        assert sent == {**ASKED, "model": "up/stream", "input": "sky?", "stream": stream}
        tokens = {
            kind: gateway.metric("crossover_tokens_total", backend="box", model="tuned", token_type=kind)
            for kind in ("input", "output")
        }
        assert tokens == {"input": 11, "output": 4}  # cached tokens are input too
        assert gateway.metric("crossover_usage_total", backend="box", certainty="exact") == 1


async def test_counting_tokens_costs_nothing_and_teaches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        scripted_peer(in_vllms_shapes) as box,
        gateway_in_process(one(box.url), tmp_path, monkeypatch) as gateway,
        messages_client(gateway) as claude,
    ):
        before = gateway.core.fleet.lengths.expected("tuned", "app")
        for _ in range(3):
            counted = await claude.messages.count_tokens(model="tuned", messages=ASKED["messages"])
            assert counted.input_tokens == 11
        assert gateway.metric("crossover_tokens_total", backend="box", model="tuned", token_type="input") == 0
        assert gateway.metric("crossover_usage_total", backend="box", certainty="exact") == 3
        assert gateway.core.fleet.lengths.expected("tuned", "app") == before
        facts, _ = gateway.router.noted[-1]
        assert facts.max_output_tokens == 1
        assert not facts.may_hold


async def test_a_broken_messages_stream_is_booked_with_the_prompt_it_told_and_the_tokens_that_passed(
    start_gateway: Callable[..., GatewayProcess],
) -> None:
    served = {"tuned": {"served_by": [{"backend": "box", "model": "breaks"}]}}
    async with scripted_peer(in_vllms_shapes) as box:
        gateway = await asyncio.to_thread(start_gateway, backends=one(box.url)["backends"], aliases=served)
        async with anthropic.AsyncAnthropic(base_url=gateway.root, api_key=API_KEY, max_retries=0) as claude:
            with pytest.raises(anthropic.APIStatusError):
                async with claude.messages.stream(**ASKED) as stream:
                    await stream.until_done()
        booked = (await asyncio.to_thread(gateway.books))["box"]
        assert (booked["input_tokens"], booked["output_tokens"]) == (11, 2)
        estimated = 'crossover_usage_total{backend="box",certainty="estimated"}'
        assert await asyncio.to_thread(gateway.metric, estimated) == 1


async def test_a_client_of_messages_that_leaves_ends_the_upstream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = asyncio.Event()

    async def never_ends(connection: Connection) -> None:
        await connection.start_stream()
        for name in ("message_start", "content_block_start", "content_block_delta"):
            raw = f"event: {name}\ndata: {{}}\n\n".encode()
            await connection.send(b"%x\r\n%b\r\n" % (len(raw), raw))
        await connection.closed_by_peer()
        gone.set()

    async with (
        scripted_peer(never_ends) as box,
        gateway_in_process(one(box.url), tmp_path, monkeypatch) as gateway,
        messages_client(gateway) as claude,
    ):
        stream = await claude.messages.create(**ASKED, stream=True)
        await anext(aiter(stream))
        await stream.close()
        async with asyncio.timeout(10):
            await gone.wait()
