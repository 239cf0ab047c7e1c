"""Leaving an exchange at any point closes its connection at once, and never puts a half-used one back."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.backends.http1 import Address, Client, Deadlines, Response, errors
from tests.backends.http1.peer import Line, once, raw_peer, serve_ok

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


async def cancelled(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def whole(client: Client, address: Address, body: bytes = b"x") -> bytes:
    return await (await client.send(b"POST", address, b"/", body=body)).read(1000)


@pytest.mark.parametrize(
    "parts", [(), (b"HTTP/1.1 200",), (b"HTTP/1.1 100 Continue\r\n\r\n",), (CHUNKED,), (CHUNKED + b"5\r\nhello\r\n",)]
)
async def test_cancelled_while_waiting_for_more(client: Client, parts: tuple[bytes, ...]) -> None:
    async with raw_peer(once(*parts)) as peer:
        task = asyncio.create_task(whole(client, peer.address))
        line = await peer.line()
        while not line.requests:
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)
        await cancelled(task)
        await peer.sees_the_end()
        assert client.pool(peer.address).open_connections == 0


async def test_cancelled_while_the_request_is_still_on_its_way(client: Client) -> None:
    async def script(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.05)
        await line.end()

    async with raw_peer(script) as peer:
        task = asyncio.create_task(whole(client, peer.address, bytes(50_000_000)))
        await peer.line()
        await asyncio.sleep(0.02)
        await cancelled(task)
        await peer.sees_the_end()
        assert client.pool(peer.address).open_connections == 0


async def test_cancelled_while_connecting(client: Client) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        address = Address("127.0.0.1", listener.getsockname()[1])
        task = asyncio.create_task(whole(client, address))
        await asyncio.sleep(0.02)
        await cancelled(task)
        for filler in fillers:
            filler.close()
    assert client.pool(address).open_connections == 0
    with pytest.raises(errors.ConnectFailed):  # and the slot is free again
        await whole(client, address)


async def test_cancelled_in_every_step_of_the_loop(client: Client) -> None:
    """After n steps, for every n until the exchange is through: whatever was under way, nothing half-used is kept."""
    async with raw_peer(serve_ok) as peer:
        through = 0
        for steps in range(200):
            task = asyncio.create_task(whole(client, peer.address))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            (result,) = await asyncio.gather(task, return_exceptions=True)
            through += result == b"ok"
            assert await whole(client, peer.address) == b"ok"
            if through > 3:
                break
        assert through > 3
        pool = client.pool(peer.address)
        assert (pool.open_connections, pool.idle_connections) == (1, 1)


async def test_cancelled_when_the_answer_is_already_there_does_not_hurt_the_connections_next_user(
    client: Client,
) -> None:
    """The whole answer came and the connection was given back, but the task is cancelled before it runs again."""
    async with raw_peer(serve_ok) as peer:
        await whole(client, peer.address)
        pool = client.pool(peer.address)
        task = asyncio.create_task(whole(client, peer.address))
        while pool.idle_connections:
            await asyncio.sleep(0)
        connection = next(iter(pool._open))
        given_back = asyncio.Event()
        free = pool.free

        def notice(freed: object) -> None:
            assert freed is connection
            free(connection)
            task.cancel()
            given_back.set()

        connection._owner = type("Owner", (), {"free": staticmethod(notice), "lost": staticmethod(pool.lost)})()
        await given_back.wait()
        other = asyncio.create_task(whole(client, peer.address))
        with pytest.raises(asyncio.CancelledError):
            await task
        connection._owner = pool
        assert await other == b"ok"
        assert len(peer.lines) == 1


async def test_bytes_that_come_between_the_cancellation_and_its_delivery(client: Client) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await serve_ok(line)

    async with raw_peer(script) as peer:
        task = asyncio.create_task(whole(client, peer.address))
        line = await peer.line()
        while not line.requests:
            await asyncio.sleep(0)
        (connection,) = client.pool(peer.address)._open
        task.cancel()
        connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not connection.closed
        assert await whole(client, peer.address) == b"ok"
        assert len(peer.lines) == 1


async def test_closing_a_response_in_its_middle(client: Client) -> None:
    async with raw_peer(once(CHUNKED + b"5\r\nhello\r\n")) as peer:
        response = await client.send(b"GET", peer.address, b"/")
        response.close()
        response.close()
        await peer.sees_the_end()
        with pytest.raises(errors.Closed):
            await response.chunk()


async def test_closing_a_response_wakes_its_reader(client: Client) -> None:
    async with raw_peer(once(CHUNKED)) as peer:
        response = await client.send(b"GET", peer.address, b"/")
        reader = asyncio.create_task(response.chunk())
        await asyncio.sleep(0.01)
        response.close()
        with pytest.raises(errors.Closed):
            await reader
        await peer.sees_the_end()


async def test_leaving_the_block_of_a_response_closes_it(client: Client) -> None:
    async with raw_peer(once(CHUNKED + b"5\r\nhello\r\n")) as peer:

        async def break_down() -> None:
            async with await client.send(b"GET", peer.address, b"/") as response:
                async for _ in response:
                    raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await break_down()
        await peer.sees_the_end()


async def test_closing_a_whole_response_keeps_the_connection(client: Client) -> None:
    async with raw_peer(serve_ok) as peer:
        response: Response = await client.send(b"GET", peer.address, b"/")
        assert await response.chunk() == b"ok"
        response.close()
        assert response.complete
        assert client.pool(peer.address).idle_connections == 1


async def test_a_callers_own_timeout_is_a_cancellation(client: Client) -> None:
    async with raw_peer(once()) as peer:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.send(b"GET", peer.address, b"/", deadlines=Deadlines(first_byte_seconds=5))
        await peer.sees_the_end()
