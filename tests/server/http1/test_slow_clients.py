"""What a client that takes its answers slowly, or not at all, can make the server hold, and for how long."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import gateway.server.http1.server as module
from gateway.server.http1 import BodyBroken, Exchange, Limits
from tests.server.http1.served import Served, serving, until

KILOBYTES = bytes(10_000)
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@contextmanager
def client_of(served: Served) -> Iterator[socket.socket]:
    """One whose side of the connection holds little."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(served.address)
        client.setblocking(False)
        yield client


async def test_no_further_request_is_answered_while_its_client_takes_no_answers() -> None:
    begun = 0

    async def handle(exchange: Exchange) -> None:
        nonlocal begun
        begun += 1
        exchange.respond(200, (), KILOBYTES)

    async with serving(handle) as served:
        with client_of(served) as client:
            loop = asyncio.get_running_loop()
            sending = asyncio.create_task(loop.sock_sendall(client, GET * 5000 + CLOSE))
            before = -1
            while begun != before:
                before = begun
                await asyncio.sleep(0.2)
            assert begun < 1500  # what the kernel and the server's own buffer hold
            got = 0
            async with asyncio.timeout(30):
                while data := await loop.sock_recv(client, 1 << 20):
                    got += data.count(b"HTTP/1.1 200")
            await sending
            assert begun == 5001
            assert got >= 4990  # a line may be cut in two between reads


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.05)


@pytest.mark.usefixtures("often")
async def test_a_connection_that_closes_does_not_wait_for_ever_for_its_client() -> None:
    """Also where less is left than makes the server call it slow."""

    async def handle(exchange: Exchange) -> None:
        exchange.respond(200, (), bytes(4_000_000))

    async with serving(handle, Limits(stalled_seconds=0.3, idle_seconds=600, buffered_bytes=1 << 30)) as served:
        with client_of(served) as client:
            await asyncio.get_running_loop().sock_sendall(client, CLOSE)
            await until(lambda: served.server.open_connections == 1)
            await until(lambda: served.server.open_connections == 0)


@pytest.mark.usefixtures("often")
async def test_a_client_that_takes_its_answer_slowly_gets_all_of_it() -> None:
    size = 24_000_000

    async def handle(exchange: Exchange) -> None:
        exchange.respond(200, (), bytes(size))

    async with serving(handle, Limits(stalled_seconds=0.5)) as served:
        with socket.create_connection(served.address) as client:
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, CLOSE)
            got = 0
            while data := await loop.sock_recv(client, 200_000):
                got += len(data)
                await asyncio.sleep(0.01)
            assert got > size


async def test_trailers_without_an_end_are_not_waited_for() -> None:
    async def handle(exchange: Exchange) -> None:
        with pytest.raises(BodyBroken):
            await exchange.body(20)
        exchange.respond(431, (), b"")

    async with serving(handle) as served:
        reader, writer = await served.connect()
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nz\r\n0\r\nx-long: ")
        writer.write(b"x" * 200_000)
        assert (await reader.readline()).startswith(b"HTTP/1.1 431")
        writer.close()


async def test_a_chunked_body_whose_frame_comes_apart_from_its_data_may_be_long() -> None:
    async def handle(exchange: Exchange) -> None:
        exchange.respond(200, (), b"%d" % len(await exchange.body(20)))

    async with serving(handle, Limits(head_bytes=200)) as served:
        reader, writer = await served.connect()
        for piece in (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", *(b"1\r\n", b"z", b"\r\n") * 200):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")
        assert (await reader.readuntil(b"200")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_requests_behind_the_last_answer_do_not_spoil_it() -> None:
    """A connection that is closed with something unread is reset, and its client may lose what was answered."""
    slow = asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        await slow.wait()
        exchange.respond(200, (), KILOBYTES)

    async with serving(handle) as served:
        reader, writer = await served.connect()
        writer.write(GET * 3)
        await until(lambda: served.server.open_connections == 1)
        await asyncio.sleep(0.1)
        writer.write(GET)
        draining = asyncio.create_task(served.server.drain(10))
        await asyncio.sleep(0.1)
        slow.set()
        got = await reader.read()
        assert got.endswith(KILOBYTES)
        assert got.count(b"HTTP/1.1 200") == 1
        assert b"connection: close" in got  # so that nobody sends another one after it
        writer.close()
        assert await draining
