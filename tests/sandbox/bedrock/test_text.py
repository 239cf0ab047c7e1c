"""Text sources: the generator, stop sequences, and an upstream OpenAI server (here: a small real one)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.sandbox.bedrock.errors import BedrockError, StreamError
from gateway.sandbox.bedrock.prompts import messages_of
from gateway.sandbox.bedrock.settings import TextSettings
from gateway.sandbox.bedrock.text import Finish, Generator, Message, Piece, StopCut, TextRequest, TextSource
from gateway.sandbox.bedrock.upstream import text_source

ASK = TextRequest(max_tokens=20, messages=(Message("user", "hi"),))


async def read(source: TextSource, request: TextRequest) -> tuple[str, int, str, Finish]:
    """Text, output tokens, source and finish of an answer."""
    stream = await source.open(request)
    text, tokens = "", 0
    async with contextlib.aclosing(stream):
        async for part in stream.parts:
            tokens += part.tokens
            if isinstance(part, Piece):
                text += part.text
            else:
                return text, tokens, stream.source, part
    raise AssertionError("no finish")


async def test_the_generator_repeats_itself_for_the_same_prompt_and_says_that_it_is_simulated() -> None:
    generator = Generator()
    long = TextRequest(max_tokens=400, messages=ASK.messages)
    text, tokens, source, finish = await read(generator, long)
    assert (await read(generator, long))[0] == text
    assert (await read(generator, TextRequest(max_tokens=400, prompt="other")))[0] != text
    assert source == "generator"
    assert 24 <= tokens <= 400
    assert finish.reason == "stop"


@pytest.mark.parametrize("stop", ["model", " simulated text", "is", "This", "x"])
async def test_a_stop_sequence_never_shows_and_is_never_half_shown(stop: str) -> None:
    generator = Generator()
    whole, *_ = await read(generator, ASK)
    text, tokens, _, finish = await read(generator, TextRequest(20, ASK.messages, stop=(stop,)))
    assert text == whole.split(stop)[0]
    assert finish.stop_sequence == (stop if stop in whole else None)
    assert tokens <= 20


def test_stop_cut_holds_back_only_what_may_become_a_stop() -> None:
    cut = StopCut(("END",))
    assert [cut.feed(text) for text in ("a", "bE", "N", "x", "E")] == ["a", "b", "", "ENx", ""]
    assert cut.flush() == "E"


def test_chat_prompts_written_as_text_are_read_back() -> None:
    llama = (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    chatml = "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    expected = (Message("system", "Be kind."), Message("user", "hi"))
    assert messages_of(llama) == messages_of(chatml) == expected
    assert messages_of("plain text") == ()


class Upstream:
    """A small OpenAI-shaped server: four pieces, five tokens, as vLLM counts with its end token."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.status = 200
        self.break_after: int | None = None
        self.hang_after: int | None = None
        self.left = asyncio.Event()
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        if self.status != 200:
            return web.json_response({"error": {"message": "no"}}, status=self.status)
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            return await self.words(response, request)
        except (asyncio.CancelledError, ConnectionResetError):
            self.left.set()
            raise

    async def words(self, response: web.StreamResponse, request: web.Request) -> web.StreamResponse:
        for number, word in enumerate(("one", " two", " three", " four"), 1):
            if self.break_after is not None and number > self.break_after:
                assert request.transport is not None
                request.transport.abort()
                return response
            while self.hang_after is not None and number > self.hang_after:
                await asyncio.sleep(0.01)
                await response.write(b": still here\n\n")
            await self.send(response, [{"delta": {"content": word}, "finish_reason": None}], number)
            await asyncio.sleep(0)
        await self.send(response, [{"delta": {"content": ""}, "finish_reason": "stop", "stop_reason": None}], 5)
        await self.send(response, [], 5)
        await response.write(b"data: [DONE]\n\n")
        return response

    async def send(self, response: web.StreamResponse, choices: list[dict[str, Any]], tokens: int) -> None:
        chunk = {"choices": choices, "usage": {"prompt_tokens": 9, "completion_tokens": tokens}}
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    server = Upstream()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield server
    await runner.cleanup()


@contextlib.asynccontextmanager
async def source_of(upstream: Upstream, **more: Any) -> AsyncIterator[TextSource]:
    source = text_source(TextSettings(source="openai", base_url=upstream.url, model="tuned", **more))
    try:
        yield source
    finally:
        await source.close()


async def test_upstream_text_comes_with_its_exact_counts(upstream: Upstream) -> None:
    async with source_of(upstream) as source:
        stream = await source.open(ASK)
        assert stream.input_tokens == 9
        await stream.aclose()
        text, tokens, name, finish = await read(source, ASK)
    assert (text, tokens, name, finish.reason) == ("one two three four", 5, "openai", "stop")
    assert upstream.bodies[0]["model"] == "tuned"
    assert upstream.bodies[0]["temperature"] == 0


async def test_answers_are_replayed_from_the_cache_also_after_a_restart(upstream: Upstream, tmp_path: Path) -> None:
    cache = tmp_path / "answers.json"
    async with source_of(upstream, cache_file=cache) as source:
        first = await read(source, ASK)
        again = await read(source, ASK)
    async with source_of(upstream, cache_file=cache) as source:
        restarted = await read(source, ASK)
    assert first[2] == "openai"
    assert again == restarted == (first[0], first[1], "cache", first[3])
    assert len(upstream.bodies) == 1


async def test_the_generator_answers_labelled_when_the_upstream_is_out(upstream: Upstream) -> None:
    upstream.status = 503
    async with source_of(upstream) as source:
        assert (await read(source, ASK))[2] == "generator-fallback"


async def test_a_request_the_upstream_refuses_is_invalid(upstream: Upstream) -> None:
    upstream.status = 400
    async with source_of(upstream) as source:
        with pytest.raises(BedrockError, match="refused") as caught:
            await source.open(ASK)
    assert caught.value.name == "ValidationException"


async def test_an_upstream_that_breaks_off_breaks_the_stream(upstream: Upstream) -> None:
    upstream.break_after = 2
    async with source_of(upstream) as source:
        with pytest.raises(StreamError) as caught:
            await read(source, ASK)
    assert caught.value.name == "modelStreamErrorException"


@pytest.mark.parametrize("read_first", [False, True])
async def test_closing_an_answer_makes_the_upstream_stop(upstream: Upstream, read_first: bool) -> None:
    upstream.hang_after = 1
    async with source_of(upstream) as source:
        stream = await source.open(ASK)
        if read_first:
            assert isinstance(await anext(stream.parts), Piece)
        await stream.aclose()
        await asyncio.wait_for(upstream.left.wait(), 5)
