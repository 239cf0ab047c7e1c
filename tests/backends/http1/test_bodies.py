"""Every way in which an answer may be framed, and whether its connection serves again."""

from __future__ import annotations

import asyncio

import pytest

from gateway.backends.http1 import Client, Deadlines, Limits
from gateway.backends.http1.errors import BodyTooLong
from tests.backends.http1.peer import Line, once, raw_peer, serve_ok


async def test_a_body_of_known_length(client: Client) -> None:
    async with raw_peer(serve_ok) as peer:
        response = await client.send(b"POST", peer.address, b"/v1/x?y=%20", [(b"x-id", b"7")], b"hello")
        assert response.status == 200
        assert response.headers == [(b"content-length", b"2")]
        assert response.header(b"content-length") == b"2"
        assert response.header(b"x-none") is None
        assert await response.read(100) == b"ok"
        head, body = peer.lines[0].requests[0]
        assert head.startswith(b"POST /v1/x?y=%20 HTTP/1.1\r\nhost: 127.0.0.1:")
        assert b"\r\nx-id: 7\r\n" in head
        assert body == b"hello"
        assert client.pool(peer.address).idle_connections == 1


async def test_chunks_come_as_they_were_sent_whatever_their_framing(client: Client) -> None:
    parts = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5;ext=1\r\nhel", b"lo\r\n1\r", b"\n,\r\n",
        b"6\r\n world\r\n0\r\n", b"x-trailer: 1\r\n\r\n",
    )  # fmt: skip
    async with raw_peer(once(*parts)) as peer:
        response = await client.send(b"GET", peer.address, b"/")
        chunks = [chunk async for chunk in response]
        assert b"".join(chunks) == b"hello, world"
        assert chunks[0] == b"hel"
        assert response.headers == [(b"Transfer-Encoding", b"chunked")]
        assert await response.chunk() == b""
        assert client.pool(peer.address).idle_connections == 1


async def test_one_byte_at_a_time(client: Client) -> None:
    answer = b"HTTP/1.1 200 OK\r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"

    async def script(line: Line) -> None:
        await line.request()
        for byte in answer:
            await line.send(bytes((byte,)))
            await asyncio.sleep(0.001)
        await line.end()

    async with raw_peer(script) as peer:
        response = await client.send(b"GET", peer.address, b"/")
        assert await response.read(10) == b"abc"
        assert client.pool(peer.address).idle_connections == 1


async def test_a_body_until_the_end_of_the_connection(client: Client) -> None:
    async with raw_peer(once(b"HTTP/1.1 200 OK\r\n\r\nfirst ", b"second", then=Line.close)) as peer:
        response = await client.send(b"GET", peer.address, b"/")
        assert await response.read(100) == b"first second"
        assert client.pool(peer.address).idle_connections == 0


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_statuses_without_a_body_whatever_length_they_announce(client: Client, status: bytes) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 %s\r\ncontent-length: 5\r\n\r\n" % status)
        await serve_ok(line)

    async with raw_peer(script) as peer:
        response = await client.send(b"GET", peer.address, b"/")
        assert (response.status, await response.read(0)) == (int(status[:3]), b"")
        assert await (await client.send(b"GET", peer.address, b"/")).read(9) == b"ok"
        assert len(peer.lines) == 1


async def test_an_answer_to_head_has_no_body_and_the_connection_serves_again(client: Client) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n")
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        await serve_ok(line)

    async with raw_peer(script) as peer:
        for length in (b"5000", None):
            response = await client.send(b"HEAD", peer.address, b"/")
            assert response.header(b"content-length") == length
            assert await response.read(10) == b""
        assert await (await client.send(b"GET", peer.address, b"/")).read(9) == b"ok"
        assert len(peer.lines) == 1


async def test_interim_answers_are_skipped(client: Client) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"

    async def script(line: Line) -> None:
        await line.request()
        await line.send(interim)
        await asyncio.sleep(0.01)
        await line.send(interim + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await serve_ok(line)

    async with raw_peer(script) as peer:
        response = await client.send(b"POST", peer.address, b"/", body=b"x")
        assert response.status == 200
        assert response.headers == [(b"content-length", b"2")]
        assert await response.read(9) == b"ok"
        assert await (await client.send(b"GET", peer.address, b"/")).read(9) == b"ok"
        assert len(peer.lines) == 1


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nConnection: close\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 500 Oh\r\nconnection: CLOSE\r\n"],
)
async def test_a_peer_that_will_close_gets_no_second_request(client: Client, head: bytes) -> None:
    async with raw_peer(once(head + b"content-length: 2\r\n\r\nok")) as peer:
        assert await (await client.send(b"GET", peer.address, b"/")).read(9) == b"ok"
        assert client.pool(peer.address).idle_connections == 0
        await peer.sees_the_end()


async def test_http_1_0_with_keep_alive_serves_again(client: Client) -> None:
    async with raw_peer(once(b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok")) as peer:
        assert await (await client.send(b"GET", peer.address, b"/")).read(9) == b"ok"
        assert client.pool(peer.address).idle_connections == 1


async def test_content_is_not_decoded_and_cookies_and_redirects_are_not_followed(client: Client) -> None:
    body = b"\x1f\x8b not really gzip"

    async def script(line: Line) -> None:
        await line.request()
        await line.send(
            b"HTTP/1.1 302 Found\r\nlocation: /other\r\nset-cookie: a=1\r\ncontent-encoding: gzip\r\n"
            b"content-length: %d\r\n\r\n%s" % (len(body), body)
        )
        await serve_ok(line)

    async with raw_peer(script) as peer:
        response = await client.send(b"GET", peer.address, b"/")
        assert (response.status, await response.read(100)) == (302, body)
        await (await client.send(b"GET", peer.address, b"/")).read(9)
        head, _ = peer.lines[0].requests[1]
        assert head == b"GET / HTTP/1.1\r\nhost: " + peer.address.host_header + b"\r\n\r\n"


async def test_an_answer_before_the_request_is_sent_ends_the_connection_after_it(client: Client) -> None:
    """The peer refuses 50 MB after the head: its answer is given, and the rest of the body is not sent on."""

    async def script(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await line.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        await line.end()

    async with raw_peer(script) as peer:
        response = await client.send(b"POST", peer.address, b"/", body=bytes(50_000_000))
        assert (response.status, await response.read(9)) == (413, b"big")
        assert client.pool(peer.address).idle_connections == 0
        await peer.sees_the_end()


async def test_an_answer_whose_peer_resets_the_unread_request_is_still_given(client: Client) -> None:
    async def script(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        line.writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        await asyncio.sleep(0)
        line.close()  # with the body unread, the kernel says RST

    async with raw_peer(script) as peer:
        response = await client.send(b"POST", peer.address, b"/", body=bytes(50_000_000))
        assert (response.status, await response.read(9)) == (413, b"big")


async def test_a_stream_may_begin_while_the_request_is_still_on_its_way(client: Client) -> None:
    body = bytes(5_000_000)

    async def script(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await line.start_chunked()
        await line.chunk(b"early")
        await line.reader.readexactly(len(body))
        await line.chunk(b"late")
        await line.send(b"0\r\n\r\n")
        await line.end()

    async with raw_peer(script) as peer:
        response = await client.send(b"POST", peer.address, b"/", body=body)
        assert await response.chunk() == b"early"
        assert await response.read(99) == b"late"
        assert client.pool(peer.address).idle_connections == 1


@pytest.mark.parametrize("length", [0, 1, 16 * 1024, 16 * 1024 + 1, 300_000])
async def test_request_bodies_arrive_whole(client: Client, length: int) -> None:
    body = bytes(range(256)) * (length // 256) + bytes(length % 256)
    async with raw_peer(serve_ok) as peer:
        await (await client.send(b"POST", peer.address, b"/", body=body)).read(9)
        assert peer.lines[0].requests[0][1] == body


@pytest.mark.parametrize("framing", [b"content-length: 100000\r\n", b"transfer-encoding: chunked\r\n", b""])
async def test_a_body_longer_than_the_caller_wants_is_an_error_and_closes(client: Client, framing: bytes) -> None:
    data = bytes(100_000)
    sent = b"186a0\r\n" + data + b"\r\n0\r\n\r\n" if b"chunked" in framing else data
    async with raw_peer(once(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n" + sent)) as peer:
        response = await client.send(b"GET", peer.address, b"/")
        with pytest.raises(BodyTooLong, match="99999"):
            await response.read(99_999)
        assert response.buffered_bytes == 0


async def test_a_body_of_exactly_the_limit_is_given(client: Client) -> None:
    async with raw_peer(once(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")) as peer:
        assert await (await client.send(b"GET", peer.address, b"/")).read(5) == b"hello"


async def test_headers_keep_their_order_case_and_repeats(client: Client) -> None:
    async with raw_peer(
        once(b"HTTP/1.1 200 OK\r\nX-B:  2 \r\nx-a: 1\r\nX-B: 3\r\nX-E:\r\ncontent-length: 0\r\n\r\n")
    ) as peer:
        response = await client.send(b"GET", peer.address, b"/")
        assert [(name, value.strip()) for name, value in response.headers] == [
            (b"X-B", b"2"), (b"x-a", b"1"), (b"X-B", b"3"), (b"X-E", b""), (b"content-length", b"0"),
        ]  # fmt: skip
        assert response.header(b"x-b") == b"2"


async def test_limits_are_not_in_the_way_of_large_but_allowed_heads() -> None:
    client = Client(limits=Limits(header_count=20, header_line_bytes=9000, head_bytes=80_000))
    lines = b"".join(b"x-%02d: %s\r\n" % (n, b"v" * 8000) for n in range(9))
    async with raw_peer(once(b"HTTP/1.1 200 OK\r\n" + lines + b"content-length: 0\r\n\r\n")) as peer:
        response = await client.send(b"GET", peer.address, b"/", deadlines=Deadlines(first_byte_seconds=5))
        assert len(response.headers) == 10
        await client.aclose()
