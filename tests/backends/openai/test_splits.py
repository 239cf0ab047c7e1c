"""However an upstream's bytes are framed and cut into reads, the client gets the same payload, and the same usage."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backends.contract import UpstreamRequest
from gateway.backends.errors import UpstreamError
from gateway.backends.http1 import Limits, Response
from gateway.backends.http1.connection import Connection
from gateway.backends.openai_stream import StreamReply
from gateway.backends.tokens import BytesPerToken
from gateway.backends.usage import Usage
from gateway.backends.wire import Patience
from gateway.policy.schema import ServedBy
from tests.backends.sinks import Collector

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PATIENT = Patience(inf, inf, inf)
DONE = b"data: [DONE]\n\n"


def event(data: object) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def word(text: str, **more: object) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text}}], **more})


ROLE = event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
USAGE = event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 0}})
ERROR = event({"error": {"message": "engine died"}})
EVENTS = st.one_of(
    st.text(max_size=40).map(word),
    st.sampled_from(
        [
            word("x" * 300), word("y" * 5000), word('"usage"'), word("[DONE]"), word("z", usage=None), b": ping\n\n",
            word("crlf").replace(b"\n\n", b"\r\n\r\n"), USAGE, word("u", usage={"prompt_tokens": 7}),
        ]
    ),
)  # fmt: skip
ENDS = st.sampled_from([USAGE + DONE, DONE, b"", ERROR, ERROR + DONE, DONE[:-2]])


class Owner:
    """Of one connection, that is used once."""

    def free(self, connection: Connection) -> None:
        connection.abort()

    def lost(self, connection: Connection) -> None: ...


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as one:
        yield one


def request(*, include_usage: bool) -> UpstreamRequest:
    return UpstreamRequest(
        operation="chat", target=ServedBy(backend="box", model="m"), alias="a", body=b"{}", fields={}, stream=True,
        include_usage=include_usage, first_byte_deadline=inf, request_id="r", prompt_bytes=40,
    )  # fmt: skip


async def played(reads: list[bytes], sink: Collector, *, include_usage: bool) -> tuple[bytes, Usage, str]:
    """What the client got, the usage, and how it ended, if each of `reads` is one read of the loop."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with theirs:
        connection = Connection(loop, Owner(), Limits(), ours)
        await loop.create_connection(lambda: connection, sock=ours)
        response = Response(loop, inf, inf, inf, head_only=False)
        connection.start(response, b"POST / HTTP/1.1\r\n\r\n", b"")
        connection.data_received(HEAD)
        reply = StreamReply("box", request(include_usage=include_usage), response, 0.0, PATIENT, BytesPerToken())

        async def take() -> str:
            try:
                await reply.begin()
                await reply.relay(sink)
            except UpstreamError as error:
                return error.message
            return "ok"

        taking = asyncio.create_task(take())
        for read in reads:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if not connection.closed:
                connection.data_received(read)
        end = await taking
        connection.abort()
        await asyncio.sleep(0)
        return reply.first + sink.text, reply.usage, end


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, *(place % len(data) for place in places), len(data)})
    return [data[a:b] for a, b in pairwise(edges)]


def framed(pieces: list[bytes], size_line: str) -> list[bytes]:
    return [size_line.format(len(piece)).encode() + b"\r\n" + piece + b"\r\n" for piece in pieces]


@given(
    events=st.lists(EVENTS, max_size=8),
    end=ENDS,
    chunk_places=st.one_of(st.none(), st.lists(st.integers(0, 10_000), max_size=8)),
    read_places=st.one_of(st.none(), st.lists(st.integers(0, 10_000), max_size=12)),
    size_line=st.sampled_from(["{:x}", "{:X}", "{:04x}", "{:x};name=value"]),
    last=st.sampled_from([b"0\r\n\r\n", b"000\r\nx-trailer: 1\r\n\r\n"]),
    keep=st.booleans(),
)
def test_any_framing_and_any_reads_are_the_same_stream(
    runner: asyncio.Runner, events: list[bytes], end: bytes, chunk_places: list[int] | None,
    read_places: list[int] | None, size_line: str, last: bytes, keep: bool,
) -> None:  # fmt: skip
    parts = [ROLE, word("first"), *events, end] if end else [ROLE, word("first"), *events]
    payload = b"".join(parts)
    chunks = [*framed(parts if chunk_places is None else cut(payload, chunk_places), size_line), last]
    reads = chunks if read_places is None else cut(b"".join(chunks), read_places)
    rest = [b"".join(parts[2:])] if len(parts) > 2 else []
    begin, *others = framed([b"".join(parts[:2]), *rest], "{:x}")
    one = runner.run(played([begin, b"".join(others) + last], Collector(), include_usage=keep))
    many = runner.run(played(reads, Collector(takes_chunks=True), include_usage=keep))
    if many[0]:
        assert many == one
    else:  # it failed before anything was passed on: another backend may serve it
        assert many[2] == one[2] != "ok"


def test_plain_events_in_whole_chunks_go_out_as_they_came(runner: asyncio.Runner) -> None:
    sink = Collector(takes_chunks=True)
    parts = [ROLE, word("first"), *[word(f"w{number}") for number in range(20)], USAGE, DONE]
    *chunks, usage_chunk, done = framed(parts, "{:x}")
    together = b"".join(chunks[12:])
    text, usage, _ = runner.run(
        played([*chunks[:12], together, usage_chunk, done + b"0\r\n\r\n"], sink, include_usage=False)
    )
    assert text == b"".join(part for part in parts if part is not USAGE)
    assert usage == Usage(7, 0, "exact")
    assert sink.framed == 11  # ten alone, and ten that came in one read


def test_a_sink_that_takes_no_chunks_is_given_none(runner: asyncio.Runner) -> None:
    sink = Collector()
    parts = [word("first"), word("second"), DONE]
    text, _, end = runner.run(played([*framed(parts, "{:x}"), b"0\r\n\r\n"], sink, include_usage=False))
    assert (text, end, sink.framed) == (b"".join(parts), "ok", 0)
