"""Requests as bytes: many on a connection, at the limits, cut in pieces, and those that are none."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.gateway_process import API_KEY
from tests.server.faults.books import sockets, until
from tests.server.faults.client import Client, request
from tests.server.faults.conftest import HANGS, MAX_BODY_BYTES, Served
from tests.server.faults.upstream import message

LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
AUTH = f"host: x\r\nauthorization: Bearer {API_KEY}\r\n".encode()
HEAD_BYTES = 64 * 1024
HEADERS = 128


def chat(number: int = 1, *, stream: bool = False, size: int = 50) -> dict[str, object]:
    return {"model": "tuned", "stream": stream, "messages": message(number, size)}


BODY = json.dumps(chat()).encode()
LENGTH = b"content-length: %d\r\n" % len(BODY)


async def works(served: Served) -> None:
    async with Client(served.gateway.root) as client:
        assert (await client.ask(request(chat()))).status == 200


async def test_100_requests_on_one_connection(served: Served) -> None:
    await works(served)
    async with Client(served.gateway.root) as client:
        assert (await client.ask(request(chat()))).status == 200
        writer, open_before = client.writer, sockets(served.gateway.process.pid)
        for number in range(1, 100):
            seen = await client.ask(request(chat(number, stream=number % 2 == 0)))
            assert (seen.status, seen.ended, seen.done) == (200, True, number % 2 == 0)
        assert client.writer is writer
        assert sockets(served.gateway.process.pid) == open_before


async def test_pipelined_requests_are_answered_in_their_order(served: Served) -> None:
    async with Client(served.gateway.root) as client:
        many = [request(chat(n, stream=n % 3 == 0, size=n * 100), f"x-request-id: r{n}\r\n") for n in range(1, 13)]
        await client.send(b"".join(many))
        for number in range(1, 13):
            seen = await client.read()
            assert seen.headers["x-request-id"] == f"r{number}"
            assert (seen.status, seen.done) == (200, number % 3 == 0)


async def test_a_request_that_comes_byte_by_byte(served: Served) -> None:
    async with Client(served.gateway.root) as client:
        await client.connect()
        assert client.writer is not None
        for byte in request(chat(size=1)):
            client.writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        assert (await client.read()).status == 200


async def test_empty_lines_before_a_request_are_passed_over(served: Served) -> None:
    async with Client(served.gateway.root) as client:
        assert (await client.ask(b"\r\n\r\n" + request(chat()))).status == 200


def with_a_head_of(total: int) -> bytes:
    """A request whose head, from its first byte to the empty line, is so long."""
    bare = LINE + AUTH + LENGTH + b"x-long: \r\n\r\n"
    return LINE + AUTH + LENGTH + b"x-long: " + b"x" * (total - len(bare)) + b"\r\n\r\n" + BODY


async def test_a_head_at_the_limit_is_served_and_one_above_is_not(served: Served) -> None:
    async with Client(served.gateway.root) as client:
        assert (await client.ask(with_a_head_of(HEAD_BYTES))).status == 200
        assert (await client.ask(with_a_head_of(HEAD_BYTES))).status == 200
        asked = served.asked
        seen = await client.ask(with_a_head_of(HEAD_BYTES + 200))
        assert seen.status in (400, 431)
        assert seen.headers["connection"] == "close"
        assert served.asked == asked
    await works(served)


async def test_a_head_without_an_end_is_not_waited_for(served: Served) -> None:
    async with Client(served.gateway.root) as client:
        seen = await client.ask(LINE + AUTH + b"x-long: " + b"x" * 2 * HEAD_BYTES)
        assert seen.status in (400, 431)


async def test_as_many_headers_as_allowed_are_served_and_one_more_is_not(served: Served) -> None:
    def with_headers(count: int) -> bytes:
        return LINE + AUTH + LENGTH + b"".join(b"x-%d: 1\r\n" % n for n in range(count - 3)) + b"\r\n" + BODY

    async with Client(served.gateway.root) as client:
        assert (await client.ask(with_headers(HEADERS))).status == 200
        assert (await client.ask(with_headers(HEADERS + 1))).status == 431
    await works(served)


async def test_a_body_at_the_limit_is_served_and_one_byte_more_is_not(served: Served) -> None:
    fitting = json.dumps(chat(size=MAX_BODY_BYTES - len(json.dumps(chat(size=0))))).encode()
    assert len(fitting) == MAX_BODY_BYTES
    async with Client(served.gateway.root) as client:
        assert (await client.ask(request(fitting))).status == 200
        await client.send(request(fitting + b" ")[:-1])  # whole, it may have come before it is answered: that may stay
        seen = await client.read()
        assert seen.status == 413
        assert seen.headers["connection"] == "close"
    await works(served)


async def test_a_body_that_trickles_is_waited_for_no_longer_than_allowed(served: Served) -> None:
    async with Client(served.gateway.root) as client:
        await client.send(LINE + AUTH + b"content-length: 90000\r\n\r\n")
        reading = asyncio.create_task(client.read())
        for _ in range(200):  # 20 s, ten times what is allowed
            if reading.done() or client.writer is None:
                break
            client.writer.write(b"{")
            await asyncio.sleep(0.1)
        assert (await reading).status == 408


@pytest.mark.parametrize("pieces", [1, 7, 100], ids="in pieces of {}".format)
async def test_a_chunked_body_is_as_good_as_one_with_a_length(served: Served, pieces: int) -> None:
    asked = served.asked
    chunks = b"".join(
        b"%X;ext=1\r\n%s\r\n" % (len(part), part)
        for part in (BODY[start : start + pieces] for start in range(0, len(BODY), pieces))
    )
    async with Client(served.gateway.root) as client:
        whole = LINE + AUTH + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\nx-trailer: 1\r\n\r\n"
        assert (await client.ask(whole)).status == 200
        assert (await client.ask(whole)).status == 200
    assert served.asked == asked + 2


async def test_what_a_client_expects_before_it_sends_its_body_comes(served: Served) -> None:
    async with Client(served.gateway.root) as client:
        seen = await client.ask(LINE + AUTH + LENGTH + b"expect: 100-continue\r\n\r\n")
        assert seen.status == 100
        assert (await client.ask(BODY)).status == 200


async def test_http_1_0_is_answered_and_its_connection_closed(served: Served) -> None:
    line = LINE.replace(b"HTTP/1.1", b"HTTP/1.0")
    streamed = json.dumps(chat(stream=True)).encode()
    for body in (BODY, streamed):
        async with Client(served.gateway.root) as client:
            await client.send(line + AUTH + b"content-length: %d\r\n\r\n" % len(body) + body)
            assert client.reader is not None
            answer = await client.reader.read()  # up to the connection's end
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"transfer-encoding" not in answer
            assert answer.endswith(b"data: [DONE]\n\n") == (body is streamed)


async def test_the_absolute_form_of_an_address_is_its_path(served: Served) -> None:
    async with Client(served.gateway.root) as client:
        line = b"POST http://example.org/v1/chat/completions HTTP/1.1\r\n"
        assert (await client.ask(line + AUTH + LENGTH + b"\r\n" + BODY)).status == 200


BAD = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no method": b"/v1/chat/completions HTTP/1.1\r\n" + AUTH + LENGTH + b"\r\n" + BODY,
    "unknown method": LINE.replace(b"POST", b"FETCHIT") + AUTH + LENGTH + b"\r\n" + BODY,
    "length is a word": LINE + AUTH + b"content-length: many\r\n\r\n" + BODY,
    "length below 0": LINE + AUTH + b"content-length: -5\r\n\r\n" + BODY,
    "length with a sign": LINE + AUTH + b"content-length: +%d\r\n\r\n" % len(BODY) + BODY,
    "length too large to be one": LINE + AUTH + b"content-length: 99999999999999999999999\r\n\r\n" + BODY,
    "two lengths": LINE + AUTH + LENGTH + b"content-length: 5\r\n\r\n" + BODY,
    "a list of lengths": LINE + AUTH + b"content-length: 5, 5\r\n\r\n" + BODY,
    "chunked and a length": LINE + AUTH + LENGTH + b"transfer-encoding: chunked\r\n\r\n" + BODY,
    "a length and chunked": LINE + AUTH + b"transfer-encoding: chunked\r\n" + LENGTH + b"\r\n" + BODY,
    "chunked is not last": LINE + AUTH + b"transfer-encoding: chunked, gzip\r\n\r\n" + BODY,
    "bad size of a chunk": LINE + AUTH + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "more than a chunk's size": LINE + AUTH + b"transfer-encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "a space before the colon": LINE + AUTH + b"content-length : 5\r\n\r\n" + BODY,
    "NUL in a header": LINE + AUTH + b"x-a: \x00\r\n" + LENGTH + b"\r\n" + BODY,
    "a line of no header": LINE + AUTH + b"nonsense\r\n" + LENGTH + b"\r\n" + BODY,
}


@pytest.mark.parametrize("bad", BAD)
async def test_what_is_no_request_is_refused_and_the_connection_closed(served: Served, bad: str) -> None:
    asked = served.asked
    async with Client(served.gateway.root) as client:
        await client.send(BAD[bad])
        assert client.reader is not None
        answer = await asyncio.wait_for(client.reader.read(), 20)  # up to the connection's end
        assert answer.startswith(b"HTTP/1.1 4")
        assert answer.count(b"HTTP/1.1 ") == 1
    assert served.asked == asked
    assert served.gateway.process.poll() is None


async def test_a_bad_request_behind_a_good_one_does_not_spoil_its_answer(served: Served) -> None:
    async with Client(served.gateway.root) as client:
        await client.send(request(chat(stream=True)) + BAD["garbage"])
        first = await client.read()
        assert (first.status, first.done) == (200, True)
        assert (await client.read()).status == 400


async def test_a_client_that_closes_its_side_has_left(served: Served) -> None:
    """What it sends before it does is a request like any other, but nothing tells this FIN from that of a close."""
    async with Client(served.gateway.root) as client:
        asked = served.asked
        await client.send(request(chat(HANGS)))
        await until(lambda: served.asked == asked + 1, "it does not reach the upstream")
        assert client.writer is not None
        client.writer.write_eof()
        assert client.reader is not None
        assert await asyncio.wait_for(client.reader.read(), 20) == b""
    cancelled = 'crossover_requests_total{backend="box",model="tuned",outcome="cancelled"}'
    await asyncio.to_thread(served.gateway.wait_for_metric, cancelled, 1.0)
    await works(served)
