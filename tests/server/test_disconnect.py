"""A client that leaves: the upstream connection closes at once, and what was generated is booked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from tests.gateway_process import API_KEY, GatewayProcess
from tests.scripted_peer import Connection, scripted_peer, word
from tests.server.fleets import one

Start = Callable[..., GatewayProcess]


class Watch:
    """A peer's script that sends some words, then waits, and notes when the gateway closes the connection."""

    def __init__(self, words: int | None) -> None:
        self._words = words
        self.sent = asyncio.Event()
        self.closed = asyncio.Event()

    async def __call__(self, connection: Connection) -> None:
        if self._words is not None:
            await connection.start_stream()
            for number in range(self._words):
                await connection.event(word(f"w{number}"))
        self.sent.set()
        await connection.closed_by_peer()
        self.closed.set()


async def leave(gateway: GatewayProcess, stream: bool, when: asyncio.Event, until: bytes) -> None:
    """Asks, reads up to `until`, and closes the connection."""
    host, port = gateway.root.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps({"model": "tuned", "stream": stream, "messages": [{"role": "user", "content": "x" * 400}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {API_KEY}\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
    await asyncio.wait_for(when.wait(), 10)
    if until:
        await asyncio.wait_for(reader.readuntil(until), 10)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("stream", "words"), [(True, None), (True, 0), (True, 5), (False, None)],
    ids=["before headers", "before the first byte", "mid-stream", "not streamed"],
)  # fmt: skip
async def test_the_upstream_is_closed_and_the_attempt_booked(
    start_gateway: Start, stream: bool, words: int | None
) -> None:
    watch = Watch(words)
    async with scripted_peer(watch) as peer:
        gateway = start_gateway(**one(peer.url))
        await leave(gateway, stream, watch.sent, b"w4" if words else b"")
        await asyncio.wait_for(watch.closed.wait(), 5)
        await asyncio.to_thread(gateway.wait_for_metric, 'crossover_inflight_requests{backend="box"}', 0.0)
        cancelled = 'crossover_attempts_total{backend="box",model="tuned",outcome="cancelled"}'
        await asyncio.to_thread(gateway.wait_for_metric, cancelled, 1.0)
        books = (await asyncio.to_thread(gateway.books))["box"]
        assert books["requests"] == 0
        assert books["output_tokens"] == (words or 0)
        if words:
            assert books["input_tokens"] > 50  # guessed from the prompt's bytes, and marked so
            assert books["unsure_tokens"] == books["input_tokens"] + books["output_tokens"]


async def test_many_leaving_at_once_leave_nothing_behind(start_gateway: Start) -> None:
    watches = [Watch(3) for _ in range(20)]
    waiting = iter(watches)

    async def next_watch(connection: Connection) -> None:
        await next(waiting)(connection)

    async with scripted_peer(next_watch) as peer:
        gateway = start_gateway(**one(peer.url))
        await asyncio.gather(*(leave(gateway, True, w.sent, b"w2") for w in watches))
        await asyncio.wait_for(asyncio.gather(*(w.closed.wait() for w in watches)), 10)
        await asyncio.to_thread(gateway.wait_for_metric, 'crossover_inflight_requests{backend="box"}', 0.0)
        assert (await asyncio.to_thread(gateway.books))["box"]["output_tokens"] == 60
