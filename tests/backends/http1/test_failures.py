"""What a broken peer does, and the error that tells it from the others. In every case the connection is closed."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.backends.http1 import Address, Client, Deadlines, Limits, errors
from tests.backends.http1.peer import Line, once, raw_peer

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"


async def test_nobody_listens(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address("127.0.0.1", listener.getsockname()[1])
    with pytest.raises(errors.ConnectFailed, match="refused") as caught:
        await client.send(b"POST", address, b"/", body=b"x")
    assert not caught.value.sent
    assert "127.0.0.1" not in str(caught.value)
    assert client.pool(address).open_connections == 0


async def test_a_name_without_an_address(client: Client) -> None:
    with pytest.raises(errors.NameNotResolved) as caught:
        await client.send(b"GET", Address("no-such-host.invalid", 80), b"/")
    assert not caught.value.sent


async def test_a_peer_that_does_not_accept_is_a_connect_timeout(client: Client) -> None:
    # The queue of a listener that never accepts is full after one or two: further SYNs are dropped.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        address = Address("127.0.0.1", listener.getsockname()[1])
        with pytest.raises(errors.ConnectTimeout, match=r"0\.05 s") as caught:
            await client.send(b"GET", address, b"/", deadlines=Deadlines(connect_seconds=0.05))
        assert not caught.value.sent
        with pytest.raises(errors.FirstByteTimeout) as early:
            await client.send(b"GET", address, b"/", deadlines=Deadlines(connect_seconds=9, first_byte_seconds=0.05))
        assert not early.value.sent
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("parts", [(), (b"HTTP/1.1 200 OK\r\nx: ",), (CHUNKED,), (b"HTTP/1.1 100 Continue\r\n\r\n",)])
async def test_no_first_byte_of_the_body_is_a_first_byte_timeout(client: Client, parts: tuple[bytes, ...]) -> None:
    async with raw_peer(once(*parts)) as peer:

        async def first_byte() -> bytes:
            response = await client.send(b"POST", peer.address, b"/", deadlines=Deadlines(first_byte_seconds=0.06))
            return await response.chunk()

        with pytest.raises(errors.FirstByteTimeout) as caught:
            await first_byte()
        assert caught.value.sent
        await peer.sees_the_end()


async def test_silence_in_the_middle_of_a_body_is_a_timeout_of_its_own(client: Client) -> None:
    async with raw_peer(once(CHUNKED + b"5\r\nhello\r\n")) as peer:
        deadlines = Deadlines(first_byte_seconds=9, between_chunks_seconds=0.05)
        response = await client.send(b"POST", peer.address, b"/", deadlines=deadlines)
        assert await response.chunk() == b"hello"
        for _ in range(2):  # and it stays so
            with pytest.raises(errors.BetweenChunksTimeout):
                await response.chunk()
        await peer.sees_the_end()


async def test_steady_chunks_may_take_longer_than_the_silence_allowed(client: Client) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.start_chunked()
        for _ in range(8):
            await asyncio.sleep(0.05)
            await line.chunk(b"x")
        await line.send(b"0\r\n\r\n")

    async with raw_peer(script) as peer:
        deadlines = Deadlines(first_byte_seconds=5, between_chunks_seconds=0.25)
        response = await client.send(b"GET", peer.address, b"/", deadlines=deadlines)
        assert await response.read(99) == b"x" * 8


async def test_a_consumer_that_pauses_is_no_silence_of_the_peer(client: Client) -> None:
    async with raw_peer(once(CHUNKED + b"1\r\na\r\n", b"1\r\nb\r\n0\r\n\r\n")) as peer:
        deadlines = Deadlines(first_byte_seconds=0.15, between_chunks_seconds=0.15)
        response = await client.send(b"GET", peer.address, b"/", deadlines=deadlines)
        await asyncio.sleep(0.25)
        assert await response.read(99) == b"ab"


async def test_the_first_byte_deadline_can_be_held_on(client: Client) -> None:
    """What came first was not an answer yet (an opening event without text): the longer deadline goes on."""

    async def script(line: Line) -> None:
        await line.request()
        await line.start_chunked()
        await line.chunk(b"role")
        await asyncio.sleep(0.15)
        await line.chunk(b"text")
        await line.end()

    async with raw_peer(script) as peer:
        deadlines = Deadlines(first_byte_seconds=5, between_chunks_seconds=0.03)
        response = await client.send(b"GET", peer.address, b"/", deadlines=deadlines)
        assert await response.chunk() == b"role"
        response.awaiting_first = True
        assert await response.chunk() == b"text"
        with pytest.raises(errors.BetweenChunksTimeout):
            await response.chunk()


async def test_a_drip_is_ended_by_the_total(client: Client) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.start_chunked()
        while True:
            await line.chunk(b"x")
            await asyncio.sleep(0.01)

    async with raw_peer(script) as peer:
        deadlines = Deadlines(between_chunks_seconds=5, total_seconds=0.1)
        response = await client.send(b"GET", peer.address, b"/", deadlines=deadlines)
        with pytest.raises(errors.TotalTimeout):
            await response.read(10_000)
        await peer.sees_the_end()


@pytest.mark.parametrize(
    ("parts", "end", "received"),
    [((), Line.close, False), ((), Line.reset, False), ((b"HTTP/1.1 200 OK\r\nx",), Line.close, True),
     ((b"HTTP",), Line.reset, True), ((b"HTTP/1.1 100 Continue\r\n\r\n",), Line.close, True)],
)  # fmt: skip
async def test_an_end_before_a_whole_head(
    client: Client, parts: tuple[bytes, ...], end: object, received: bool
) -> None:
    async with raw_peer(once(*parts, then=end)) as peer:  # type: ignore[arg-type]
        with pytest.raises(errors.Disconnected) as caught:
            await client.send(b"POST", peer.address, b"/", body=b"x")
        assert (caught.value.sent, caught.value.reused, caught.value.received) == (True, False, received)
        assert len(peer.lines) == 1


@pytest.mark.parametrize("end", [Line.close, Line.reset])
@pytest.mark.parametrize(
    "body", [SIZED + b"hello", CHUNKED + b"5\r\nhello\r\n", CHUNKED + b"a\r\nhello", CHUNKED + b"5\r\nhello\r\n0\r\n"]
)
async def test_a_body_cut_short_gives_what_came_and_then_the_error(client: Client, body: bytes, end: object) -> None:
    async with raw_peer(once(body, then=end)) as peer:  # type: ignore[arg-type]
        response = await client.send(b"GET", peer.address, b"/")
        assert await response.chunk() == b"hello"
        for _ in range(2):
            with pytest.raises(errors.BodyCutShort):
                await response.chunk()
        assert not response.complete


async def test_a_reset_is_not_the_clean_end_of_an_unframed_body(client: Client) -> None:
    async with raw_peer(once(b"HTTP/1.1 200 OK\r\n\r\nhello", then=Line.reset)) as peer:
        response = await client.send(b"GET", peer.address, b"/")
        with pytest.raises(errors.BodyCutShort):
            await response.read(99)


@pytest.mark.parametrize(
    "answer",
    [
        b"hello\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: ten\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx : y\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: y\r\n folded\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 103 Hints\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    ],
)  # fmt: skip
async def test_what_is_no_http_answer_is_a_protocol_error(client: Client, answer: bytes) -> None:
    async with raw_peer(once(answer)) as peer:
        with pytest.raises(errors.ProtocolError):
            await client.send(b"GET", peer.address, b"/", deadlines=Deadlines(first_byte_seconds=3))
        await peer.sees_the_end()


@pytest.mark.parametrize("piece", [b"zz\r\n", b"3\r\nabcd\r\n", b"fffffffffffffffffff\r\n"])
async def test_damaged_chunk_framing_is_a_protocol_error_after_what_came(client: Client, piece: bytes) -> None:
    async with raw_peer(once(CHUNKED + b"5\r\nhello\r\n", piece)) as peer:
        response = await client.send(b"GET", peer.address, b"/", deadlines=Deadlines(first_byte_seconds=3))
        with pytest.raises(errors.ProtocolError, match="framed"):
            await response.read(99)
        await peer.sees_the_end()


SMALL = Limits(header_count=8, header_line_bytes=1000, head_bytes=4000)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ((b"x: y\r\n" * 200 + b"\r\n",), "8 header lines"),
        ((b"x: " + b"y" * 1200 + b"\r\n\r\n",), "header line of more than 1000"),
        (((b"x: " + b"y" * 900 + b"\r\n") * 6 + b"\r\n",), "4000 bytes"),
        ((b"x: y" + b"y" * 3000, b"y" * 3000, b"y" * 3000), "4000 bytes"),  # a line that never ends
        ((b"HTTP/1.1 100 Continue\r\n\r\n" * 100,) * 4, "4000 bytes"),
    ],
)
async def test_heads_beyond_the_limits(parts: tuple[bytes, ...], told: str) -> None:
    client = Client(limits=SMALL)
    first = parts[0] if parts[0].startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\n" + parts[0]
    async with raw_peer(once(first, *parts[1:])) as peer:
        with pytest.raises(errors.HeadTooLarge, match=told):
            await client.send(b"GET", peer.address, b"/", deadlines=Deadlines(first_byte_seconds=3))
        await peer.sees_the_end()
        await client.aclose()


async def test_trailers_without_end_are_cut_off() -> None:
    client = Client(limits=SMALL)

    async def script(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED + b"5\r\nhello\r\n0\r\n")
        while True:
            await line.send(b"x: y\r\n")
            await line.send(b"z: " + b"y" * 900)
            await asyncio.sleep(0.001)

    async with raw_peer(script) as peer:
        response = await client.send(b"GET", peer.address, b"/")
        with pytest.raises(errors.ProtocolError):
            await response.read(99)
        await client.aclose()


@pytest.mark.parametrize(
    "surplus", [b"x", b"HTTP/1.1 2", b"HTTP/1.1 204 No\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged"]
)
@pytest.mark.parametrize("together", [True, False])
async def test_bytes_behind_an_answer_never_become_the_next_answer(
    client: Client, surplus: bytes, together: bool
) -> None:
    async def script(line: Line) -> None:
        await line.request()
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        if line.number > 1:
            await line.send(answer)
        elif together:
            await line.send(answer + surplus)
        else:
            await line.send(answer)
            await asyncio.sleep(0.01)
            await line.send(surplus)
        await line.end()

    async with raw_peer(script) as peer:
        response = await client.send(b"GET", peer.address, b"/")
        assert (response.status, await response.read(9)) == (200, b"ok")
        await peer.sees_the_end(1)
        assert await (await client.send(b"GET", peer.address, b"/")).read(9) == b"ok"
        assert len(peer.lines) == 2


async def test_a_body_behind_an_answer_to_head_is_not_taken_for_an_answer(client: Client) -> None:
    async with raw_peer(once(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")) as peer:
        response = await client.send(b"HEAD", peer.address, b"/")
        assert await response.read(9) == b""
        await peer.sees_the_end()
