"""The batch: places, the line before them, steps that slow as it fills, and what the metrics page shows of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.routing.load import Load
from gateway.sandbox.generator.settings import GeneratorSettings
from gateway.server.scraping import read_load

SLOW = {"tokens_per_second": 20.0}


async def until(condition: Callable[[], bool], what: str) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(what)


async def load(box: Any) -> Load:
    read = read_load((await box.http.get("/metrics")).content)
    assert read is not None
    return read


async def series(box: Any, name: str) -> float:
    page: str = (await box.http.get("/metrics")).text
    lines = [line for line in page.splitlines() if line.startswith((name + "{", name + " "))]
    assert len(lines) == 1, page
    return float(lines[0].rpartition(" ")[2])


def test_a_step_is_as_long_as_the_two_speeds_say() -> None:
    settings = GeneratorSettings(tokens_per_second=20, max_tokens_per_second=200, max_streams=32)
    assert settings.step_seconds(1) == pytest.approx(1 / 20)
    assert 32 / settings.step_seconds(32) == pytest.approx(200)
    assert GeneratorSettings(tokens_per_second=20, max_streams=32).step_seconds(32) == pytest.approx(1 / 20)
    assert GeneratorSettings().step_seconds(5) == 0


@pytest.mark.parametrize("most", [19.0, 641.0])
def test_speeds_that_no_batch_can_have_are_refused(most: float) -> None:
    with pytest.raises(ValidationError, match="between tokens_per_second"):
        GeneratorSettings(tokens_per_second=20, max_tokens_per_second=most, max_streams=32)


async def test_streams_beyond_the_batch_wait_in_line_and_are_served_in_turn(start: Any) -> None:
    box = await start(max_streams=2, tokens_per_second=100)
    ends: list[str] = []

    async def ask(name: str) -> None:
        await box.chat(name, max_tokens=40, extra_body={"ignore_eos": True})
        ends.append(name)

    asks = []
    for position, name in enumerate(("first", "second", "third", "fourth")):
        asks.append(asyncio.create_task(ask(name)))
        await until(lambda n=position: box.box.running + box.box.waiting == n + 1, "the request did not arrive")
    assert (box.box.running, box.box.waiting) == (2, 2)
    assert await series(box, "vllm:num_requests_running") == 2
    assert await series(box, "vllm:num_requests_waiting") == 2
    seen = await load(box)
    assert (seen.requests, seen.waiting) == (4, 2)
    assert seen.kv_cache_usage is not None
    assert seen.kv_cache_usage > 0
    await asyncio.gather(*asks)
    assert ends == ["first", "second", "third", "fourth"]
    seen = await load(box)
    assert (seen.requests, seen.kv_cache_usage) == (0, 0.0)


async def test_the_token_counters_are_the_sums_of_the_usages(start: Any) -> None:
    box = await start()
    answers = [await box.chat(f"question {n}") for n in range(3)]
    assert await series(box, "vllm:prompt_tokens_total") == sum(a.usage.prompt_tokens for a in answers)
    assert await series(box, "vllm:generation_tokens_total") == sum(a.usage.completion_tokens for a in answers)
    assert box.box.finished == {"stop": 3, "length": 0, "abort": 0}


@pytest.mark.parametrize("stream", [True, False])
async def test_a_closed_connection_ends_its_generation(start: Any, stream: bool) -> None:
    box = await start(**SLOW)
    reader, writer = await asyncio.open_connection("127.0.0.1", box.served.port)
    body = (
        b'{"model":"tuned","messages":[{"role":"user","content":"hi"}],"max_tokens":4000,"ignore_eos":true,"stream":%s}'
        % (b"true" if stream else b"false")
    )
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    await until(lambda: box.box.generation_tokens >= 2, "it does not generate")
    if stream:
        assert b"200 OK" in await reader.readline()
    writer.close()
    await until(lambda: box.box.running == 0, "it still runs")
    made = box.box.generation_tokens
    assert made < 4000
    await asyncio.sleep(0.15)  # three steps
    assert box.box.generation_tokens == made
    assert box.box.finished["abort"] == 1
    assert box.box.kv_tokens == 0


async def test_a_client_that_leaves_the_line_takes_no_place(start: Any) -> None:
    box = await start(max_streams=1, **SLOW)
    first = asyncio.create_task(box.chat("first", max_tokens=4000, extra_body={"ignore_eos": True}))
    await until(lambda: box.box.running == 1, "the first does not run")
    second = asyncio.create_task(box.chat("second", max_tokens=2))
    await until(lambda: box.box.waiting == 1, "the second does not wait")
    second.cancel()
    await until(lambda: box.box.waiting == 0, "the second still waits")
    first.cancel()
    await until(lambda: box.box.running == 0, "the first still runs")
    assert (await box.chat("third", max_tokens=2)).usage.completion_tokens == 2
    assert box.box.finished == {"stop": 0, "length": 1, "abort": 1}


async def test_streams_of_one_batch_share_its_steps(start: Any) -> None:
    box = await start(tokens_per_second=100)
    steps = 0
    one_step = box.box._end_step

    def counted() -> None:
        nonlocal steps
        steps += 1
        one_step()

    box.box._end_step = counted
    more = {"max_tokens": 30, "extra_body": {"ignore_eos": True}}
    await asyncio.gather(*(box.chat(f"question {n}", **more) for n in range(8)))
    assert box.box.generation_tokens == 240
    assert steps < 120  # each for itself they would take 8 x 29
