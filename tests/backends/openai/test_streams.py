"""A stream that goes well: deadlines that hold, a client that is slow or leaves, a connection that is used again."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.backends.http1.peer import Line, once, until
from tests.backends.openai.peer import (
    DONE,
    STREAM_HEAD,
    backend_for,
    begin_stream,
    broken_off,
    chunk,
    open_connections,
    request,
    usage,
    word,
)
from tests.backends.sinks import Collector, text_of

LAST = b"0\r\n\r\n"


async def good(line: Line) -> None:
    while True:
        await begin_stream(line, "one")
        for text in ("two", "three"):
            await asyncio.sleep(0.002)
            await line.send(chunk(word(text)))
        await line.send(chunk(usage(7, 0)))
        await line.send(chunk(DONE))
        await asyncio.sleep(0.002)
        await line.send(LAST)


async def test_a_connection_is_used_again_after_done() -> None:
    async with backend_for(good) as (backend, peer):
        for takes_chunks in (True, False, True, False):
            sink = Collector(takes_chunks=takes_chunks)
            reply = await backend.send(request())
            text = await text_of(reply, sink)
            reply.close()
            assert text == word("one") + word("two") + word("three") + DONE
            assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.certainty) == (7, 0, "exact")
            assert (sink.framed > 0) == takes_chunks
        assert len(peer.lines) == 1


async def test_done_without_an_end_of_the_body_ends_the_stream_and_closes_the_connection() -> None:
    async with backend_for(once(STREAM_HEAD + chunk(word("one")), chunk(DONE))) as (backend, peer):
        assert await text_of(await backend.send(request())) == word("one") + DONE
        await peer.sees_the_end()


@pytest.mark.parametrize("more", [b"", LAST], ids=["open", "ended"])
async def test_a_stream_that_comes_in_one_piece_is_whole_at_once(more: bytes) -> None:
    script = once(STREAM_HEAD + chunk(word("one") + word("two") + DONE) + more)
    async with backend_for(script) as (backend, _):
        reply = await backend.send(request())
        assert reply.first == word("one") + word("two") + DONE
        sink = Collector()
        await reply.relay(sink)
        assert sink.pieces == []
        await until(lambda: open_connections(backend) == (1 if more else 0))


@pytest.mark.parametrize("takes_chunks", [False, True])
async def test_the_total_deadline_ends_a_stream_that_never_falls_silent(takes_chunks: bool) -> None:
    async def script(line: Line) -> None:
        await begin_stream(line, "first")
        while True:
            await line.send(chunk(word("more")))
            await asyncio.sleep(0.01)

    async with backend_for(script) as (backend, peer):
        reply = await backend.send(request(total_seconds=0.2))
        error = await broken_off(reply, Collector(takes_chunks=takes_chunks))
        assert (error.code, error.status) == ("backend_timeout", 504)
        assert "did not finish" in error.message
        assert reply.usage.output_tokens > 1
        await peer.sees_the_end()


async def test_the_total_deadline_holds_while_the_client_takes_nothing() -> None:
    async with backend_for(once(STREAM_HEAD + chunk(word("one")), chunk(word("two")))) as (backend, peer):
        reply = await backend.send(request(total_seconds=0.2))
        error = await broken_off(reply, Collector(most_bytes=1))
        assert "did not finish" in error.message
        await peer.sees_the_end()


async def test_a_client_that_takes_nothing_for_long_is_not_taken_for_a_stalled_backend() -> None:
    async def script(line: Line) -> None:
        await begin_stream(line, "one")
        await asyncio.sleep(0.01)
        await line.send(chunk(word("two")))
        await asyncio.sleep(0.01)
        await line.send(chunk(word("three")) + chunk(DONE) + LAST)
        await line.end()

    async with backend_for(script, timeouts={"stall_seconds": 0.1}) as (backend, _):
        reply = await backend.send(request())
        sink = Collector(takes_chunks=True, most_bytes=1)
        relaying = asyncio.create_task(reply.relay(sink))
        await asyncio.sleep(0.35)
        assert sink.text == word("two")
        sink.empty()
        await relaying
        assert sink.text == word("two") + word("three") + DONE
        assert open_connections(backend) == 1


@pytest.mark.parametrize("takes_chunks", [False, True])
async def test_a_slow_client_holds_the_upstream_back(takes_chunks: bool) -> None:
    events = 400
    text = "x" * 60_000
    sent = 0

    async def flood(line: Line) -> None:
        nonlocal sent
        await begin_stream(line, "first")
        await asyncio.sleep(0.01)
        for _ in range(events):
            await line.send(chunk(word(text)))
            sent += 1
        await line.send(chunk(DONE) + LAST)
        await line.end()

    async with backend_for(flood) as (backend, _):
        reply = await backend.send(request())
        sink = Collector(takes_chunks=takes_chunks, most_bytes=100_000)
        relaying = asyncio.create_task(reply.relay(sink))
        await until(lambda: sink.full)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.05)
        assert sent < events
        most = 0
        while not relaying.done():
            most = max(most, sink.held_bytes)
            sink.empty()
            await asyncio.sleep(0)
        await relaying
        assert sink.text == word(text) * events + DONE
        assert most <= 100_000 + 600_000  # one read of the loop beyond the limit, and an event that it completed
        assert sink.paused > 10
        assert open_connections(backend) == 1


@pytest.mark.parametrize("takes_chunks", [False, True])
async def test_a_client_that_leaves_closes_the_upstream_at_once(takes_chunks: bool) -> None:
    async def script(line: Line) -> None:
        await begin_stream(line, "one")
        await asyncio.sleep(0.01)
        await line.send(chunk(word("two")))
        await line.end()

    async with backend_for(script) as (backend, peer):
        reply = await backend.send(request())
        sink = Collector(takes_chunks=takes_chunks)
        relaying = asyncio.create_task(reply.relay(sink))
        await until(lambda: bool(sink.pieces))
        relaying.cancel()
        await asyncio.wait((relaying,))
        assert relaying.cancelled()
        await peer.sees_the_end()
        assert sink.flow is None
        await until(lambda: open_connections(backend) == 0)
        assert reply.usage.output_tokens == 2


async def test_a_reply_that_is_closed_without_being_relayed_closes_the_upstream() -> None:
    async with backend_for(once(STREAM_HEAD + chunk(word("one")))) as (backend, peer):
        reply = await backend.send(request())
        reply.close()
        reply.close()
        await peer.sees_the_end()


LONG = "y" * 40_000


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"tuned","messages":[{"content":"%s"}],"x":1.50}' % LONG.encode(),
        b'{ "mod\\u0065l" : "tuned" , "messages" : ["model", {"model":"no"}, "%s"] }' % LONG.encode(),
        b'{"model":"a","prompt":"%s","model":"tuned","prompt":"%s"}' % (LONG.encode(), LONG[1:].encode()),
        b'{"messages":"short","model":"tuned","prompt":["%s"],"stream_options":{"a":[1.0]}}' % LONG.encode(),
        b'{"other":"%s","model":"tuned"}' % LONG.encode(),
        b'{"model":"tuned","messages":[]}',
    ],
)  # fmt: skip
async def test_a_body_goes_out_with_every_value_as_it_came_but_for_the_model(body: bytes) -> None:
    async with backend_for(good) as (backend, peer):
        await text_of(await backend.send(request(body=body)))
        (head, sent), *_ = peer.lines[0].requests
        options = {"stream_options": json.loads(body).get("stream_options", {}) | {"include_usage": True}}
        assert json.loads(sent) == json.loads(body) | {"model": "up/stream"} | options
        assert json.loads(sent, object_pairs_hook=lambda pairs: len(pairs) == len(dict(pairs)))
        assert b"\r\nx-request-id: r1\r\n" in head
        assert head.count(b"content-length") == head.count(b"host:") == 1
