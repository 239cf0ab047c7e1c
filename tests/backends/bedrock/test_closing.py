"""Whoever stops waiting closes the upstream connection at once, and what was generated is still known."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from msgspec import structs

from gateway.backends.bedrock.backend import BedrockBackend
from gateway.backends.errors import UpstreamError
from tests.backends.bedrock.conftest import Start, backend_settings
from tests.backends.bedrock.requests import BASE, request, say
from tests.backends.bedrock.test_backend import CHATS, billed, eventually_billed, label, until
from tests.backends.sinks import Collector, text_of

SLOW = {"tokens_per_second": 50.0}


@pytest.mark.parametrize("target", CHATS[:4], ids=label)
async def test_closing_a_stream_ends_the_call_and_the_counted_tokens_are_the_billed_ones(
    start: Start, target: dict[str, Any]
) -> None:
    async with start(model=SLOW) as (backend, served):
        reply = await backend.send(request(say("hi", max_tokens=400), stream=True, **target))
        sink, four = Collector(), asyncio.Event()
        sink.on_write = lambda: four.set() if len(sink.pieces) == 3 else None
        relaying = asyncio.create_task(reply.relay(sink))
        await four.wait()
        relaying.cancel()
        await asyncio.wait((relaying,))
        pieces = 1 + len(sink.pieces)
        reply.close()
        reply.close()  # once more does no harm
        (booked,) = await eventually_billed(served)
        assert served.sandbox.state()["cancelled"] == 1
        assert served.sandbox.open_connections == 0
        usage = reply.usage
        assert usage.certainty == "estimated"
        # Some may be on the way when the line is cut, and one may be written but not booked yet.
        assert pieces <= usage.output_tokens <= booked.output_tokens + 1
        if target.get("body") == "meta":
            assert usage.input_tokens == booked.input_tokens


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_cancelling_before_the_first_byte_closes_the_connection(start: Start, stream: bool) -> None:
    async with start(model={"first_token_seconds": 30.0}) as (backend, served):
        sending = asyncio.create_task(backend.send(request(say("hi"), model=BASE, api="converse", stream=stream)))
        await until(lambda: served.sandbox.state()["in_flight"] == 1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await until(lambda: served.sandbox.state()["in_flight"] == 0)
        assert served.sandbox.state()["cancelled"] == 1
        assert served.sandbox.open_connections == 0


async def test_cancelling_a_reader_in_the_middle_closes_the_connection(start: Start) -> None:
    async with start(model=SLOW) as (backend, served):
        reply = await backend.send(request(say("hi", max_tokens=400), model=BASE, body="meta", stream=True))
        reading = asyncio.create_task(text_of(reply))
        await until(lambda: reply.usage.output_tokens >= 3)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        (booked,) = await eventually_billed(served)
        assert 3 <= reply.usage.output_tokens <= booked.output_tokens + 1


async def test_closing_a_finished_stream_keeps_its_connection_for_the_next_call(start: Start) -> None:
    async with start() as (backend, served):
        for _ in range(3):
            reply = await backend.send(request(say("hi", max_tokens=3), model=BASE, body="meta", stream=True))
            await text_of(reply)
            reply.close()
        assert served.sandbox.open_connections == 1
        assert served.sandbox.state()["cancelled"] == 0
        assert len(billed(served)) == 3


async def test_a_client_that_reads_slowly_is_not_taken_for_a_stalled_backend(start: Start) -> None:
    async with start(backend={"timeouts": {"stall_seconds": 0.1}}, model={"tokens_per_second": 100.0}) as (backend, _):
        reply = await backend.send(request(say("hi", max_tokens=8), model=BASE, body="meta", stream=True))
        sink = Collector(most_bytes=1)
        relaying = asyncio.create_task(reply.relay(sink))
        await asyncio.sleep(0.35)
        assert sink.full
        sink.on_write = lambda: asyncio.get_running_loop().call_soon(sink.empty) and None
        sink.empty()
        await relaying
        assert sink.text.endswith(b"data: [DONE]\n\n")
        assert reply.usage.certainty == "exact"


async def test_many_streams_at_once_keep_their_texts_apart(start: Start) -> None:
    async with start() as (backend, served):

        async def ask(number: int) -> tuple[str, bytes]:
            one = request(say(f"question {number}", max_tokens=20), model=BASE, body="meta", stream=True)
            return one.request_id, await text_of(await backend.send(one))

        for request_id, text in await asyncio.gather(*(ask(number) for number in range(30))):
            lines = [line for line in text.split(b"\n\n") if line and line != b"data: [DONE]"]
            assert all(f"chatcmpl-{request_id}".encode() in line for line in lines)
        assert len(billed(served)) == 30


async def test_a_closed_backend_sends_nothing_more(start: Start) -> None:
    async with start() as (backend, _):
        await backend.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await backend.send(request(say("hi"), api="converse"))


async def test_a_stream_that_never_falls_silent_ends_at_its_total_deadline(start: Start) -> None:
    async with start(model=SLOW) as (backend, served):
        asked = request(say("hi", max_tokens=400), model=BASE, body="meta", stream=True)
        reply = await backend.send(structs.replace(asked, total_deadline=time.monotonic() + 0.4))
        with pytest.raises(UpstreamError, match="did not finish") as raised:
            await reply.relay(Collector())
        assert raised.value.code == "backend_timeout"
        (booked,) = await eventually_billed(served)
        assert 1 <= reply.usage.output_tokens <= booked.output_tokens + 1


async def test_the_total_deadline_holds_while_the_client_takes_nothing(start: Start) -> None:
    async with start(model=SLOW) as (backend, served):
        asked = request(say("hi", max_tokens=400), model=BASE, body="meta", stream=True)
        reply = await backend.send(structs.replace(asked, total_deadline=time.monotonic() + 0.3))
        with pytest.raises(UpstreamError) as raised:
            await reply.relay(Collector(most_bytes=1))
        assert raised.value.code == "backend_timeout"
        assert len(await eventually_billed(served)) == 1


async def test_a_call_that_never_left_is_not_billed() -> None:
    backend = BedrockBackend("cloud", backend_settings("http://127.0.0.1:9", {}))
    asked = request(say("hi"))
    with pytest.raises(UpstreamError) as raised:
        await backend.send(asked)
    assert raised.value.code == "backend_unreachable"
    assert asked.wire.sent_at is None
    await backend.aclose()
