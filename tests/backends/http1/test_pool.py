"""Connections kept, shared, waited for and expired."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from gateway.backends.http1 import Address, Client, Deadlines, Limits, Response, errors
from tests.backends.http1.peer import Line, ask, once, raw_peer, serve_ok, until


async def test_requests_in_turn_share_one_connection(client: Client) -> None:
    async with raw_peer(serve_ok) as peer:
        for _ in range(20):
            assert await ask(client, peer.address) == b"ok"
        assert len(peer.lines) == 1


async def test_a_body_that_nobody_reads_does_not_hold_the_connection(client: Client) -> None:
    """It is whole: it waits in memory, the connection serves the next."""
    async with raw_peer(serve_ok) as peer:
        responses = [await client.send(b"GET", peer.address, b"/") for _ in range(3)]
        await until(lambda: client.pool(peer.address).idle_connections == 1)
        assert [await response.read(9) for response in responses] == [b"ok"] * 3


async def test_addresses_do_not_share(client: Client) -> None:
    async with raw_peer(serve_ok) as one, raw_peer(serve_ok) as two:
        await ask(client, one.address)
        await ask(client, two.address)
        assert (len(one.lines), len(two.lines)) == (1, 1)


async def test_requests_beyond_the_limit_wait_in_the_order_they_came() -> None:
    client = Client(limits=Limits(connections=2))
    async with raw_peer(serve_ok) as peer:
        answered: list[int] = []

        async def one(number: int) -> None:
            await ask(client, peer.address, b"/%d" % number)
            answered.append(number)

        await asyncio.gather(*(one(number) for number in range(30)))
        assert len(peer.lines) == 2
        assert sorted(answered) == list(range(30))
        for line in peer.lines:  # each connection serves them in order
            numbers = [int(head.split(b" ")[1][1:]) for head, _ in line.requests]
            assert numbers == sorted(numbers)
        await client.aclose()


async def test_a_newcomer_does_not_overtake_who_waits() -> None:
    client = Client(limits=Limits(connections=1))
    async with raw_peer(serve_ok) as peer:
        order: list[str] = []

        async def one(name: str) -> None:
            await ask(client, peer.address)
            order.append(name)
            if name == "a":
                await one("late")  # asks in the very moment in which its connection is handed on

        await asyncio.gather(one("a"), one("b"), one("c"))
        assert order == ["a", "b", "c", "late"]
        await client.aclose()


async def test_the_wait_for_a_connection_ends_at_the_first_byte_deadline() -> None:
    client = Client(limits=Limits(connections=1))
    async with raw_peer(once()) as peer:
        first = asyncio.create_task(ask(client, peer.address))
        await peer.line()
        with pytest.raises(errors.PoolTimeout, match="all 1 connections") as caught:
            await client.send(b"POST", peer.address, b"/", deadlines=Deadlines(first_byte_seconds=0.05))
        assert not caught.value.sent
        assert client.pool(peer.address).waiting == 0
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await client.aclose()


async def test_the_slot_of_a_connection_that_died_goes_to_who_waits() -> None:
    client = Client(limits=Limits(connections=1))

    async def script(line: Line) -> None:
        await line.request()
        if line.number <= 2:
            line.reset()
        else:
            await line.answer()
            await serve_ok(line)

    async with raw_peer(script) as peer:
        results = await asyncio.gather(*(ask(client, peer.address) for _ in range(4)), return_exceptions=True)
        assert [type(result).__name__ for result in results] == ["Disconnected", "Disconnected", "bytes", "bytes"]
        assert len(peer.lines) == 3
        await client.aclose()


async def test_a_failed_connect_gives_its_slot_on(client: Client) -> None:
    client = Client(limits=Limits(connections=1))
    address = Address("127.0.0.1", 1)
    results = await asyncio.gather(*(ask(client, address) for _ in range(5)), return_exceptions=True)
    assert {type(result) for result in results} == {errors.ConnectFailed}
    assert (client.pool(address).open_connections, client.pool(address).waiting) == (0, 0)
    await client.aclose()


async def test_leaving_the_line_gives_the_turn_to_the_next() -> None:
    client = Client(limits=Limits(connections=1))
    release = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await release.wait()
        await line.answer()
        await serve_ok(line)

    async with raw_peer(script) as peer:
        tasks = [asyncio.create_task(ask(client, peer.address)) for _ in range(4)]
        await until(lambda: client.pool(peer.address).waiting == 3)
        tasks[1].cancel()
        release.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[1], asyncio.CancelledError)
        assert [results[0], *results[2:]] == [b"ok"] * 3
        assert len(peer.lines) == 1
        await client.aclose()


async def test_leaving_in_the_very_moment_of_getting_a_connection_loses_neither() -> None:
    client = Client(limits=Limits(connections=1))
    async with raw_peer(serve_ok) as peer:
        tasks: list[asyncio.Task[bytes]] = []

        async def first() -> None:
            await ask(client, peer.address)  # when this returns, the connection has just been given to tasks[0]
            tasks[0].cancel()

        holder = asyncio.create_task(first())
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(ask(client, peer.address)) for _ in range(2)]
        await holder
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1] == b"ok"
        await until(
            lambda: client.pool(peer.address).idle_connections == client.pool(peer.address).open_connections == 1
        )
        await client.aclose()


async def test_a_connection_that_rested_too_long_is_closed_without_any_traffic() -> None:
    client = Client(limits=Limits(idle_seconds=0.05))

    async def script(line: Line) -> None:
        await line.request()
        await line.answer()
        await line.end()

    async with raw_peer(script) as peer:
        await ask(client, peer.address)
        await peer.sees_the_end()
        await until(lambda: client.pool(peer.address).open_connections == 0)
        await client.aclose()


async def test_a_connection_handed_on_just_as_its_peer_closes_it_is_not_used_and_the_turn_is_kept() -> None:
    """The answer and the end of the connection arrive together; others wait for that connection."""
    client = Client(limits=Limits(connections=1))

    async def script(line: Line) -> None:
        await line.request()
        with socket.socket(fileno=os.dup(line.writer.get_extra_info("socket").fileno())) as sock:
            sock.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            sock.shutdown(socket.SHUT_WR)
        await line.end()

    async with raw_peer(script) as peer:
        results = await asyncio.gather(*(ask(client, peer.address, b"/%d" % number) for number in range(6)))
        assert results == [b"ok"] * 6
        assert [request.split(b" ")[1] for request in peer.requests] == [b"/%d" % number for number in range(6)]
        await client.aclose()


async def test_a_slot_that_comes_in_the_very_moment_of_leaving_goes_to_the_next() -> None:
    client = Client(limits=Limits(connections=1))

    async def script(line: Line) -> None:
        while True:
            path = (await line.request()).split(b" ")[1]
            if path == b"/hold":
                await line.start_chunked()
                await line.end()
                return
            await line.answer()

    async with raw_peer(script) as peer:
        for steps in range(12):
            held = await client.send(b"POST", peer.address, b"/hold")
            leaving, staying = (asyncio.create_task(ask(client, peer.address)) for _ in range(2))
            await until(lambda: client.pool(peer.address).waiting == 2)
            held.close()
            for _ in range(steps):
                await asyncio.sleep(0)
            leaving.cancel()
            async with asyncio.timeout(5):
                assert await staying == b"ok"
            await asyncio.gather(leaving, return_exceptions=True)
        await client.aclose()


async def test_a_peer_that_closes_what_it_has_just_accepted_leaves_no_slot_behind() -> None:
    client = Client(limits=Limits(connections=2))

    async def script(line: Line) -> None:
        line.reset()

    async with raw_peer(script) as peer:
        results = await asyncio.gather(*(ask(client, peer.address) for _ in range(40)), return_exceptions=True)
        assert {type(result) for result in results} <= {errors.Disconnected, errors.ConnectFailed}
        pool = client.pool(peer.address)
        await until(lambda: pool.open_connections == 0)
        assert pool.waiting == 0
        await client.aclose()


async def test_closing_the_client_ends_everything_and_says_so() -> None:
    client = Client(limits=Limits(connections=2))

    async def script(line: Line) -> None:
        await line.request()
        if line.number == 1:
            await line.start_chunked()
            await line.chunk(b"x")
        await line.end()

    async with raw_peer(script) as peer:
        response = await client.send(b"POST", peer.address, b"/")
        assert await response.chunk() == b"x"
        tasks = [asyncio.create_task(ask(client, peer.address)) for _ in range(3)]
        reading = asyncio.create_task(response.chunk())
        await until(lambda: len(peer.lines) == 2 and client.pool(peer.address).waiting == 2)
        pool = client.pool(peer.address)
        await client.aclose()
        assert (pool.open_connections, pool.waiting) == (0, 0)
        results = await asyncio.gather(reading, *tasks, return_exceptions=True)
        assert {type(result) for result in results} == {errors.Closed}
        with pytest.raises(errors.Closed):
            await client.send(b"GET", peer.address, b"/")
        await peer.sees_the_end(1)
        await peer.sees_the_end(2)
        await client.aclose()


async def test_closing_the_client_ends_connects_that_are_under_way() -> None:
    client = Client()
    async with raw_peer(Line.end) as peer:  # never shakes hands
        address = Address("127.0.0.1", peer.address.port, tls=True)
        task = asyncio.create_task(ask(client, address))
        await peer.line()
        await client.aclose()
        with pytest.raises(errors.Closed) as caught:
            await task
        assert not caught.value.sent
        await peer.sees_the_end()


async def test_closing_a_client_with_connections_at_rest() -> None:
    client = Client()
    async with raw_peer(serve_ok) as peer:
        await asyncio.gather(*(ask(client, peer.address) for _ in range(5)))
        await client.aclose()
        for number in range(len(peer.lines)):
            await peer.sees_the_end(number + 1)


async def test_the_peers_other_address_is_tried_when_one_refuses(client: Client) -> None:
    """`localhost` is ::1 and 127.0.0.1 on most machines, and most servers listen on one of them."""
    async with raw_peer(serve_ok) as peer:
        address = Address("localhost", peer.address.port)
        assert await ask(client, address) == b"ok"


async def test_many_faults_leave_no_connection_and_no_slot_behind() -> None:
    client = Client(limits=Limits(connections=8))

    async def script(line: Line) -> None:
        while True:
            path = (await line.request()).split(b" ")[1]
            match path:
                case b"/reset":
                    line.reset()
                case b"/half":
                    await line.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
                    line.close()
                case b"/hang":
                    await line.end()
                case b"/garbage":
                    await line.send(b"garbage\r\n\r\n")
                case _:
                    await line.answer()

    paths = [b"/ok", b"/reset", b"/ok", b"/half", b"/ok", b"/hang", b"/ok", b"/garbage", b"/ok", b"/left"]

    async def one(number: int) -> str:
        path = paths[number % len(paths)]
        try:
            response: Response = await client.send(
                b"POST", peer.address, path, deadlines=Deadlines(first_byte_seconds=5 if path != b"/hang" else 0.05)
            )
            if path == b"/left":
                response.close()
                return "left"
            return (await response.read(100)).decode()
        except errors.HTTP1Error as error:
            return type(error).__name__

    async with raw_peer(script) as peer:
        results = await asyncio.gather(*(one(number) for number in range(400)))
        counts = {result: results.count(result) for result in set(results)}
        expected = {"ok": 200, "Disconnected": 40, "BodyCutShort": 40, "ProtocolError": 40, "left": 40}
        waited_out = counts.pop("FirstByteTimeout", 0) + counts.pop("PoolTimeout", 0)
        assert (counts, waited_out) == (expected, 40)
        pool = client.pool(peer.address)
        await until(lambda: pool.open_connections == pool.idle_connections)
        assert pool.open_connections <= 8
        assert pool.waiting == 0
        await client.aclose()
        assert pool.open_connections == 0
