"""Mock, load client and accounting, over real sockets and real processes. Counts only, no times."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import openai
import pytest

from gateway.bench.gateway.accounting import CPU_SOURCE, cpu_seconds, on_core, rss_bytes, tree
from gateway.bench.gateway.load import Load, Round
from gateway.bench.gateway.processes import load_client, mock_upstream

BODY = {"model": "bench", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def mock() -> Iterator[int]:
    with mock_upstream(0.002) as port:
        yield port


@pytest.fixture
def client(mock: int) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{mock}/v1", api_key="none", max_retries=0) as client:
        yield client


def told(port: int, stream: bool, tokens: int = 4, concurrency: int = 2, seconds: float = 0.0, least: int = 3) -> Round:
    body = json.dumps({**BODY, "max_tokens": tokens, "stream": stream})
    return Round("127.0.0.1", port, "none", body, stream, tokens, concurrency, seconds, 0.0, least)


# -- the mock --------------------------------------------------------------------------------------------------------


def test_the_openai_client_reads_a_whole_answer_with_its_usage(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="bench", messages=[{"role": "user", "content": "Hi"}], max_tokens=5)
    assert answer.choices[0].message.content == " token" * 5
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (12, 5)


@pytest.mark.parametrize("asked", [True, False])
def test_the_openai_client_reads_a_stream_with_usage_only_if_asked_for(client: openai.OpenAI, asked: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if asked else {}
    stream = client.chat.completions.create(  # type: ignore[call-overload]
        model="bench", messages=[{"role": "user", "content": "Hi"}], max_tokens=5, stream=True, **options
    )
    chunks = list(stream)
    assert [chunk.choices[0].delta.content for chunk in chunks if chunk.choices] == [" token"] * 5
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == ([5] if asked else [])


def test_a_long_prompt_hides_nothing_and_says_nothing(client: openai.OpenAI) -> None:
    prompt = '"max_tokens": 7, "stream": true ' * 4000
    answer = client.chat.completions.create(model="bench", messages=[{"role": "user", "content": prompt}], max_tokens=3)
    assert answer.choices[0].message.content == " token" * 3


def test_the_mock_lists_its_model(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["bench"]


async def test_a_stream_that_is_left_does_not_disturb_the_others(mock: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", mock)
    body = json.dumps({**BODY, "max_tokens": 5000, "stream": True}).encode()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    await reader.readuntil(b"data: ")
    writer.transport.abort()
    measured = await Load(told(mock, stream=True)).run()
    assert (len(measured.ttft), measured.errors) == (6, {})


# -- the load client -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_the_client_counts_every_answer(mock: int, stream: bool) -> None:
    with load_client() as load:
        measured = load.run(told(mock, stream))
    assert len(measured.latency) == 6
    assert measured.events == (24 if stream else 0)
    assert measured.errors == {}


@pytest.fixture
async def scripted() -> AsyncIterator[list[bytes]]:
    """Answers each request with the bytes in the list, then closes; the port is its last item."""
    script: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(script[0])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    script += [b"", str(server.sockets[0].getsockname()[1]).encode()]
    yield script
    server.close()


_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_EVENT = b"9\r\ndata: {}\n\r\n1\r\n\n\r\n"
_DONE = b"e\r\ndata: [DONE]\n\n\r\n"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (_HEAD + 4 * _EVENT, "closed"),
        (_HEAD + 4 * _EVENT + b"0\r\n\r\n", "[DONE]"),
        (_HEAD + 3 * _EVENT + _DONE + b"0\r\n\r\n", "all its chunks"),
        (b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", "status 503"),
        (b"", "closed"),
        (b"hello", "not HTTP"),
    ],
    ids=["cut", "no end", "a chunk missing", "status", "nothing", "no HTTP"],
)
async def test_an_answer_that_is_not_complete_is_an_error(scripted: list[bytes], answer: bytes, error: str) -> None:
    scripted[0] = answer
    measured = await Load(told(int(scripted[1]), stream=True, concurrency=1, least=1)).run()
    assert measured.latency == []
    assert [error in why for why in measured.errors] == [True]
    assert sum(measured.errors.values()) == 1


async def test_events_split_over_chunks_are_whole_events(scripted: list[bytes]) -> None:
    scripted[0] = _HEAD + 4 * _EVENT + _DONE + b"0\r\n\r\n"
    measured = await Load(told(int(scripted[1]), stream=True, concurrency=1, least=1)).run()
    assert (measured.events, measured.errors) == (4, {})


# -- accounting ------------------------------------------------------------------------------------------------------

_PARENT = """
import subprocess, sys
busy = "sum(range(10**6)); print('up', flush=True); input()"
child = subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE)
child.wait()
"""


def test_the_time_and_memory_of_children_are_counted() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        family = tree(parent.pid)
        child = next(pid for pid in family if pid != parent.pid)
        assert len(family) == 2
        assert cpu_seconds(parent.pid) > cpu_seconds(child) > 0, CPU_SOURCE
        assert rss_bytes(parent.pid) > rss_bytes(child) > 0
        parent.kill()
        os.kill(child, 9)


def test_what_is_started_on_a_core_stays_there() -> None:
    core = max(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    with on_core(core):
        said = subprocess.run(
            [sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"], stdout=subprocess.PIPE, check=True
        )
    assert said.stdout.decode().strip() == str({core})
    assert os.sched_getaffinity(0) == before
