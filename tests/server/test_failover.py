"""A fault of one backend is felt by nobody where another can serve; after the first byte the stream says it broke."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import openai
import pytest

from tests.gateway_process import API_KEY, GatewayProcess
from tests.scripted_peer import Connection, Script, answer, scripted_peer, word
from tests.server.fleets import one, two

MESSAGES: Any = [{"role": "user", "content": "hi"}]
Start = Callable[..., GatewayProcess]


def client(gateway: GatewayProcess) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0)


async def cut(connection: Connection) -> None:
    connection.writer.close()


async def hang(connection: Connection) -> None:
    await connection.closed_by_peer()


async def hang_after_headers(connection: Connection) -> None:
    await connection.start_stream()
    await connection.closed_by_peer()


async def cut_after_headers(connection: Connection) -> None:
    await connection.start_stream()
    connection.writer.close()


async def garbage(connection: Connection) -> None:
    await connection.send(b"\x00\x01 not HTTP at all\r\n\r\n")


async def not_json(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")


def status(line: str, body: object | None = None, extra: str = "") -> Script:
    async def script(connection: Connection) -> None:
        await connection.json(body or {"error": {"message": "no", "type": "t", "code": None}}, line, extra)

    return script


BEFORE_THE_FIRST_BYTE = {
    "cut": cut,
    "hang": hang,
    "garbage": garbage,
    "500": status("500 Oops"),
    "503": status("503 Busy"),
    "429": status("429 Too Many", extra="retry-after: 3\r\n"),
    "401": status("401 No"),
    "404": status("404 No such model"),
}
QUICK = {"timeouts": {"first_byte_seconds": 0.5, "connect_seconds": 0.5, "stall_seconds": 0.5}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", BEFORE_THE_FIRST_BYTE)
async def test_before_the_first_byte_another_backend_answers(start_gateway: Start, fault: str, stream: bool) -> None:
    async with scripted_peer(BEFORE_THE_FIRST_BYTE[fault]) as broken, scripted_peer(answer("from the other")) as good:
        gateway = start_gateway(**two(broken.url, good.url, **QUICK))
        created = await client(gateway).chat.completions.with_raw_response.create(
            model="tuned", messages=MESSAGES, stream=stream
        )
        assert created.headers["x-crossover-backend"] == "cloud"
        assert created.headers["x-crossover-reason"] == "fallback"
        if stream:
            parts = [chunk.choices[0].delta.content async for chunk in created.parse()]
            assert parts == ["from", "the", "other"]
        else:
            assert created.parse().choices[0].message.content == "from the other"
        books = await asyncio.to_thread(gateway.books)
        assert books["cloud"]["requests"] == 1
        assert books["box"]["requests"] == 0
        assert books["box"]["output_tokens"] == 0
        refused = fault.isdecimal()  # said so: what was not, may have been read, and its prompt is guessed
        assert (books["box"]["input_tokens"] == 0) == refused
        assert len(broken.requests) == 1


@pytest.mark.parametrize("fault", [hang_after_headers, cut_after_headers])
async def test_headers_without_a_byte_of_answer_are_no_answer(start_gateway: Start, fault: Script) -> None:
    async with scripted_peer(fault) as broken, scripted_peer(answer("saved")) as good:
        gateway = start_gateway(**two(broken.url, good.url, **QUICK))
        stream = await client(gateway).chat.completions.create(model="tuned", messages=MESSAGES, stream=True)
        assert [chunk.choices[0].delta.content async for chunk in stream] == ["saved"]


async def test_a_backend_that_is_not_there_is_passed_over(start_gateway: Start) -> None:
    async with scripted_peer(answer("here")) as good:
        gateway = start_gateway(**two("http://127.0.0.1:9/v1", good.url))
        answered = await client(gateway).chat.completions.create(model="tuned", messages=MESSAGES)
        assert answered.choices[0].message.content == "here"


async def test_a_mistake_of_the_client_is_told_in_the_backends_own_words_and_tried_nowhere_else(
    start_gateway: Start,
) -> None:
    body = {"error": {"message": "temperature must be at most 2", "type": "Bad Request", "param": None, "code": 400}}
    async with scripted_peer(status("400 Bad", body)) as picky, scripted_peer() as other:
        gateway = start_gateway(**two(picky.url, other.url))
        with pytest.raises(openai.BadRequestError) as raised:
            await client(gateway).chat.completions.create(model="tuned", messages=MESSAGES, temperature=9)
        assert raised.value.body == body["error"]
        assert other.requests == []


async def _break(connection: Connection, how: str) -> None:
    await connection.start_stream()
    await connection.event(word("one"))
    await connection.event(word("two"))
    await asyncio.sleep(0.1)  # in a packet of their own: what fails before anything was passed on is tried elsewhere
    if how == "error":
        await connection.event({"error": {"message": "engine died", "type": "InternalServerError", "code": 500}})
        await connection.end_stream()
    elif how == "cut":
        connection.writer.close()
    elif how == "short":
        await connection.end_stream()
    else:
        await connection.closed_by_peer()


@pytest.mark.parametrize("how", ["error", "cut", "short", "hang"])
async def test_after_the_first_byte_the_stream_ends_with_an_error_event(start_gateway: Start, how: str) -> None:
    async with scripted_peer(lambda connection: _break(connection, how)) as broken, scripted_peer() as other:
        gateway = start_gateway(**two(broken.url, other.url, **QUICK))
        stream = await client(gateway).chat.completions.create(model="tuned", messages=MESSAGES, stream=True)
        words: list[str | None] = []

        async def read() -> None:
            async for chunk in stream:
                words.append(chunk.choices[0].delta.content)

        with pytest.raises(openai.APIError):
            await read()
        assert words == ["one", "two"]
        assert other.requests == []
        books = await asyncio.to_thread(gateway.books)
        assert books["box"]["output_tokens"] == 2
        assert books["box"]["unsure_tokens"] > 0


async def test_when_all_fail_the_last_failure_is_told(start_gateway: Start) -> None:
    async with scripted_peer(cut) as first, scripted_peer(status("503 Busy")) as second:
        gateway = start_gateway(**two(first.url, second.url))
        with pytest.raises(openai.InternalServerError) as raised:
            await client(gateway).chat.completions.create(model="tuned", messages=MESSAGES)
        assert raised.value.status_code == 503
        assert len(first.requests) == len(second.requests) == 1


async def test_a_body_that_is_not_json_is_a_fault_of_the_backend(start_gateway: Start) -> None:
    async with scripted_peer(not_json) as broken:
        gateway = start_gateway(**one(broken.url))
        with pytest.raises(openai.InternalServerError) as raised:
            await client(gateway).chat.completions.create(model="tuned", messages=MESSAGES)
        assert raised.value.status_code == 502


async def test_a_backend_that_keeps_failing_is_left_alone_and_clients_are_not(start_gateway: Start) -> None:
    async with scripted_peer(status("500 Oops")) as broken, scripted_peer(answer("fine")) as good:
        gateway = start_gateway(**two(broken.url, good.url))
        for _ in range(8):
            answered = await client(gateway).chat.completions.create(model="tuned", messages=MESSAGES)
            assert answered.choices[0].message.content == "fine"
        assert len(broken.requests) == 3
        decisions = (await asyncio.to_thread(gateway.admin, "decisions?limit=1"))["decisions"]
        excluded = {c["backend"]: c["excluded"] for c in decisions[0]["candidates"]}
        assert excluded["box"] == "it failed repeatedly and is being left alone"


async def test_a_backend_that_always_breaks_mid_stream_is_left_alone_too(start_gateway: Start) -> None:
    async with scripted_peer(lambda c: _break(c, "cut")) as broken, scripted_peer(answer("fine")) as good:
        gateway = start_gateway(**two(broken.url, good.url))
        ends = []
        for _ in range(6):
            stream = await client(gateway).chat.completions.create(model="tuned", messages=MESSAGES, stream=True)
            try:
                ends.append([chunk.choices[0].delta.content async for chunk in stream])
            except openai.APIError:
                ends.append([])
        assert ends == [[], [], [], ["fine"], ["fine"], ["fine"]]


async def test_a_fallback_that_has_fallen_ill_meanwhile_is_not_asked(start_gateway: Start) -> None:
    async with scripted_peer(hang) as slow, scripted_peer(status("429 No", extra="retry-after: 60\r\n")) as busy:
        gateway = start_gateway(**two(slow.url, busy.url, timeouts={"first_byte_seconds": 1.0}))
        asking = asyncio.create_task(client(gateway).chat.completions.create(model="tuned", messages=MESSAGES))
        await asyncio.sleep(0.3)
        with pytest.raises(openai.APIStatusError):
            await client(gateway).chat.completions.create(
                model="tuned", messages=MESSAGES, extra_headers={"x-crossover-backend": "cloud"}
            )
        with pytest.raises(openai.APIStatusError):
            await asking
        assert len(busy.requests) == 1


@pytest.mark.parametrize("line", ["202 Accepted", "302 Found", "204 No Content"])
async def test_a_status_that_is_no_error_and_no_answer_is_a_502(start_gateway: Start, line: str) -> None:
    async with scripted_peer(status(line)) as odd:
        gateway = start_gateway(**one(odd.url))
        with pytest.raises(openai.InternalServerError) as raised:
            await client(gateway).chat.completions.create(model="tuned", messages=MESSAGES)
        assert raised.value.status_code == 502


@pytest.mark.parametrize(
    "told", [{"total_tokens": 5}, {"prompt_tokens": None}, {"prompt_tokens": 2**63}, {"prompt_tokens": -3}, "x"]
)
async def test_a_usage_that_cannot_be_read_does_not_spoil_the_answer(start_gateway: Start, told: object) -> None:
    async def odd(connection: Connection) -> None:
        message = {"role": "assistant", "content": "good"}
        await connection.json(
            {"object": "chat.completion", "choices": [{"index": 0, "message": message}], "usage": told}
        )

    async with scripted_peer(odd) as peer:
        gateway = start_gateway(**one(peer.url))
        for _ in range(2):
            answered = await client(gateway).chat.completions.create(model="tuned", messages=MESSAGES)
            assert answered.choices[0].message.content == "good"
        books = await asyncio.to_thread(gateway.books)
        assert books["box"]["requests"] == 2


async def test_mistakes_of_clients_never_open_a_circuit(start_gateway: Start) -> None:
    async with scripted_peer(status("400 Bad")) as picky:
        gateway = start_gateway(**one(picky.url))
        for _ in range(6):
            with pytest.raises(openai.BadRequestError):
                await client(gateway).chat.completions.create(model="tuned", messages=MESSAGES)
        assert len(picky.requests) == 6


async def test_a_throttled_backend_is_asked_again_when_it_said(start_gateway: Start) -> None:
    async with scripted_peer(status("429 Slow", extra="retry-after: 1\r\n")) as busy, scripted_peer() as other:
        gateway = start_gateway(**two(busy.url, other.url))
        for _ in range(3):
            await client(gateway).chat.completions.create(model="tuned", messages=MESSAGES)
        assert len(busy.requests) == 1
        busy.script = answer("again")
        await asyncio.sleep(1.1)
        answered = await client(gateway).chat.completions.create(model="tuned", messages=MESSAGES)
        assert answered.choices[0].message.content == "again"
