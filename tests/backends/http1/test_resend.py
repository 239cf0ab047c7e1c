"""When a connection at rest is used again, and when a request goes out twice."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from gateway.backends.http1 import Client, Limits, errors
from tests.backends.http1.peer import Line, ask, once, raw_peer, serve_ok, until


async def test_a_connection_closed_at_rest_is_not_used_even_before_the_loop_has_seen_it(client: Client) -> None:
    """The loop gets no chance to read the end between the peer's close and the next request: the kernel is asked."""

    async def script(line: Line) -> None:
        await line.request()
        await line.answer()
        await line.request()
        await line.answer(b"second")

    async with raw_peer(script) as peer:
        assert await ask(client, peer.address) == b"ok"
        line = await peer.line()
        with socket.socket(fileno=os.dup(line.writer.get_extra_info("socket").fileno())) as sock:
            sock.shutdown(socket.SHUT_RDWR)  # now, in this very step of the loop
        assert await ask(client, peer.address) == b"ok"
        assert len(peer.lines) == 2
        assert len(line.requests) == 1


async def test_a_connection_that_is_being_closed_is_not_taken(client: Client) -> None:
    """Bytes that nobody asked for came at rest. In the step in which the connection is given up, none may use it."""
    async with raw_peer(serve_ok) as peer:
        await ask(client, peer.address)
        (connection,) = client.pool(peer.address)._open
        connection.data_received(b"surplus")
        assert await ask(client, peer.address) == b"ok"
        assert len(peer.lines) == 2


async def closes_on_the_second_request(line: Line) -> None:
    await line.request()
    await line.answer()
    if line.number == 1:
        await line.request()
        line.close()
    else:
        await line.end()


async def test_a_get_that_met_a_closing_connection_goes_out_again(client: Client) -> None:
    async with raw_peer(closes_on_the_second_request) as peer:
        await ask(client, peer.address)
        assert await (await client.send(b"GET", peer.address, b"/again")).read(9) == b"ok"
        assert [request.split(b" ")[1] for request in peer.requests] == [b"/", b"/again", b"/again"]
        assert len(peer.lines) == 2


async def test_a_post_that_met_a_closing_connection_does_not(client: Client) -> None:
    """The peer has read it, and may have served it: only the caller may decide to pay twice."""
    async with raw_peer(closes_on_the_second_request) as peer:
        await ask(client, peer.address)
        with pytest.raises(errors.Disconnected) as caught:
            await ask(client, peer.address)
        assert (caught.value.sent, caught.value.reused, caught.value.received) == (True, True, False)
        assert len(peer.lines) == 1


async def test_nothing_goes_out_again_after_a_byte_of_an_answer(client: Client) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.answer()
        await line.request()
        await line.send(b"H")
        line.close()

    async with raw_peer(script) as peer:
        await ask(client, peer.address)
        with pytest.raises(errors.Disconnected) as caught:
            await client.send(b"GET", peer.address, b"/")
        assert caught.value.received
        assert len(peer.lines) == 1


async def test_a_get_goes_out_twice_at_most(client: Client) -> None:
    async def script(line: Line) -> None:
        await line.request()
        if line.number == 1:
            await line.answer()
            await line.request()
        line.close()

    async with raw_peer(script) as peer:
        await ask(client, peer.address)
        with pytest.raises(errors.Disconnected):
            await client.send(b"GET", peer.address, b"/")
        assert len(peer.requests) == 3


async def test_a_get_on_a_fresh_connection_does_not_go_out_again(client: Client) -> None:
    async with raw_peer(once(then=Line.close)) as peer:
        with pytest.raises(errors.Disconnected):
            await client.send(b"GET", peer.address, b"/")
        assert len(peer.requests) == 1


async def test_a_get_goes_out_twice_at_most_even_if_no_fresh_connection_is_to_be_had() -> None:
    """At the limit it gets another used connection, which breaks as well."""
    client = Client(limits=Limits(connections=2))
    release = {b"/slow": asyncio.Event(), b"/slower": asyncio.Event()}

    async def script(line: Line) -> None:
        while True:
            path = (await line.request()).split(b" ")[1]
            if path == b"/die":
                line.close()
                return
            if path in release:
                await release[path].wait()
            await line.answer()

    async with raw_peer(script) as peer:
        pool = client.pool(peer.address)
        await asyncio.gather(ask(client, peer.address), ask(client, peer.address))
        slow = asyncio.create_task(ask(client, peer.address, b"/slow"))
        await until(lambda: b"POST /slow HTTP/1.1" in peer.requests)
        dying = asyncio.create_task(client.send(b"GET", peer.address, b"/die"))
        await asyncio.sleep(0)
        slower = asyncio.create_task(ask(client, peer.address, b"/slower"))
        await until(lambda: b"POST /slower HTTP/1.1" in peer.requests and pool.waiting == 1)
        release[b"/slow"].set()
        with pytest.raises(errors.Disconnected):
            await dying
        assert peer.requests.count(b"GET /die HTTP/1.1") == 2
        release[b"/slower"].set()
        assert await asyncio.gather(slow, slower) == [b"ok", b"ok"]
        await client.aclose()
