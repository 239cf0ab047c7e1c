"""A consumer that does not keep up holds the peer back, and memory stays bounded."""

from __future__ import annotations

import asyncio

from gateway.backends.http1 import Client, Limits
from tests.backends.http1.peer import Line, raw_peer

PIECE = bytes(range(256)) * 256
PIECES = 800  # 52 MB
MOST_HELD_BYTES = 64 * 1024 + 256 * 1024
"""The limit, and one read of the loop (asyncio and uvloop read at most 256 KiB at once)."""


class Flood:
    def __init__(self, framing: bytes) -> None:
        self.framing = framing
        self.pieces_sent = 0

    async def __call__(self, line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\n" + self.framing + b"\r\n")
        for _ in range(PIECES):
            if b"chunked" in self.framing:
                await line.chunk(PIECE)
            else:
                await line.send(PIECE)
            self.pieces_sent += 1
        if b"chunked" in self.framing:
            await line.send(b"0\r\n\r\n")
        await line.end()


FRAMINGS = (b"transfer-encoding: chunked\r\n", b"content-length: %d\r\n" % (len(PIECE) * PIECES))


async def test_a_body_that_nobody_takes_stops_coming_and_goes_on_when_somebody_does(client: Client) -> None:
    for framing in FRAMINGS:
        flood = Flood(framing)
        async with raw_peer(flood) as peer:
            response = await client.send(b"GET", peer.address, b"/")
            sent_before = -1
            while sent_before != flood.pieces_sent:
                sent_before = flood.pieces_sent
                await asyncio.sleep(0.05)
            assert flood.pieces_sent < PIECES // 2
            assert 0 < response.buffered_bytes <= MOST_HELD_BYTES
            size = most = 0
            async for chunk in response:
                size += len(chunk)
                most = max(most, len(chunk))
            assert size == len(PIECE) * PIECES
            assert most <= MOST_HELD_BYTES
            assert client.pool(peer.address).idle_connections == 1


async def test_a_slow_consumer_gets_every_byte_in_order() -> None:
    client = Client(limits=Limits(buffered_bytes=1000))
    text = b"".join(b"%06d " % number for number in range(40_000))

    async def script(line: Line) -> None:
        await line.request()
        await line.start_chunked()
        for start in range(0, len(text), 5000):
            await line.chunk(text[start : start + 5000])
        await line.send(b"0\r\n\r\n")
        await line.end()

    async with raw_peer(script) as peer:
        response = await client.send(b"GET", peer.address, b"/")
        got = []
        async for chunk in response:
            got.append(chunk)
            await asyncio.sleep(0.001)
        assert b"".join(got) == text
        assert client.pool(peer.address).idle_connections == 1
        await client.aclose()


async def test_a_response_closed_while_the_peer_is_held_back(client: Client) -> None:
    flood = Flood(FRAMINGS[0])
    async with raw_peer(flood) as peer:
        response = await client.send(b"GET", peer.address, b"/")
        await asyncio.sleep(0.05)
        response.close()
        await peer.sees_the_end()
        assert response.buffered_bytes == 0


async def test_a_peer_that_leaves_while_it_is_held_back_still_has_its_bytes_read(client: Client) -> None:
    async def script(line: Line) -> None:
        await line.request()
        line.writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + PIECE * 20)
        await line.writer.drain()
        line.close()

    async with raw_peer(script) as peer:
        response = await client.send(b"GET", peer.address, b"/")
        await asyncio.sleep(0.05)
        assert len(await response.read(10_000_000)) == len(PIECE) * 20
