"""What an exchange may cost, in counts: writes, tasks, timers, steps of the loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections import Counter
from typing import Any

import pytest

from gateway.backends.http1 import Client, Deadlines, errors
from gateway.backends.http1.connection import Connection
from tests.backends.http1.peer import Line, raw_peer, serve_ok

REQUESTS = 50
DEADLINES = Deadlines(connect_seconds=5, first_byte_seconds=30, between_chunks_seconds=20, total_seconds=60)


def on_asyncio_only() -> asyncio.AbstractEventLoop:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, asyncio.SelectorEventLoop):
        pytest.skip("what uvloop does cannot be counted from Python; the client's code is the same")
    return loop


@pytest.mark.parametrize("body", [b"", b"x", bytes(16 * 1024)])
async def test_a_request_is_one_send(client: Client, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    on_asyncio_only()
    sends: Counter[int] = Counter()

    class Counting(socket.socket):
        def send(self, *arguments: Any) -> int:
            sends[self.getpeername()[1]] += 1
            return super().send(*arguments)

    async with raw_peer(serve_ok) as peer:
        monkeypatch.setattr(socket, "socket", Counting)
        for _ in range(REQUESTS):
            response = await client.send(b"POST", peer.address, b"/", [(b"a", b"b")] * 10, body, DEADLINES)
            await response.read(9)
        assert sends[peer.address.port] == REQUESTS


async def test_an_exchange_on_a_warm_connection_makes_no_task(client: Client) -> None:
    loop = asyncio.get_running_loop()
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(repr(coro))
        return asyncio.Task(coro, loop=loop, **options)

    async with raw_peer(serve_ok) as peer:
        await (await client.send(b"POST", peer.address, b"/", body=b"x")).read(9)
        loop.set_task_factory(factory)
        for _ in range(REQUESTS):
            await (await client.send(b"POST", peer.address, b"/", body=b"x", deadlines=DEADLINES)).read(9)
        loop.set_task_factory(None)
        assert made == []


async def stream_of_50(line: Line) -> None:
    while True:
        await line.request()
        await line.start_chunked()
        for _ in range(50):
            await line.chunk(b"data: token\n\n")
            await asyncio.sleep(0)
        await line.send(b"0\r\n\r\n")


async def test_many_exchanges_and_chunks_share_a_few_timers(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wait has its deadline, but no timer of its own."""
    loop = on_asyncio_only()
    timers = 0
    call_at = loop.call_at

    def counting(*arguments: Any, **options: Any) -> asyncio.TimerHandle:
        nonlocal timers
        timers += 1
        return call_at(*arguments, **options)

    async with raw_peer(stream_of_50) as peer:
        monkeypatch.setattr(loop, "call_at", counting)
        chunks = 0
        for _ in range(REQUESTS):
            response = await client.send(b"POST", peer.address, b"/", body=b"x", deadlines=DEADLINES)
            async for _ in response:
                chunks += 1
        assert chunks > 10 * REQUESTS
        assert timers <= 5


async def test_what_is_there_is_given_without_a_step_of_the_loop(client: Client) -> None:
    async with raw_peer(serve_ok) as peer:
        response = await client.send(b"GET", peer.address, b"/")
        while not response.complete:
            await asyncio.sleep(0)
        with pytest.raises(StopIteration) as step:
            response.chunk().send(None)
        assert step.value.value == b"ok"
        with pytest.raises(StopIteration) as step:
            response.chunk().send(None)
        assert step.value.value == b""


async def test_a_short_answer_wakes_its_reader_once(client: Client) -> None:
    """Head and body come together: the caller is suspended once for both."""
    async with raw_peer(serve_ok) as peer:
        await (await client.send(b"GET", peer.address, b"/")).read(9)

        async def whole() -> bytes:
            return await (await client.send(b"GET", peer.address, b"/", deadlines=DEADLINES)).read(9)

        suspended = 0

        class Counted:
            def __await__(self) -> Any:
                nonlocal suspended
                steps = whole().__await__()
                try:
                    while True:
                        future = next(steps)
                        suspended += 1
                        yield future
                except StopIteration as end:
                    return end.value

        assert await Counted() == b"ok"
        assert suspended == 1


async def test_sockets_do_not_delay_small_writes(client: Client) -> None:
    async with raw_peer(serve_ok) as peer:
        await (await client.send(b"GET", peer.address, b"/")).read(9)
        (connection,) = client.pool(peer.address)._open
        assert connection._transport is not None
        sock = connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_closed_connection_is_not_kept_in_memory_by_its_deadline(client: Client) -> None:
    async def script(line: Line) -> None:
        await line.request()
        line.reset()

    async with raw_peer(script) as peer:
        for _ in range(5):
            with contextlib.suppress(errors.Disconnected):
                await client.send(b"POST", peer.address, b"/", deadlines=DEADLINES)
        await asyncio.sleep(0.01)
        gc.collect()
        assert not [kept for kept in gc.get_objects() if isinstance(kept, Connection)]
