"""Where a request ends and the next begins: nothing that a client writes moves that line."""

from __future__ import annotations

import pytest

from gateway.server.http1 import BodyBroken, Exchange
from tests.server.http1.served import bodies, serving

HIDDEN = b"GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
UPGRADE = b"host: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n"
LENGTH = b"content-length: %d\r\n\r\n" % len(HIDDEN)
CHUNKED = b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)


async def echo(exchange: Exchange) -> None:
    try:
        body = await exchange.body(10)
    except BodyBroken as error:
        exchange.respond(400, (), str(error).encode())
    else:
        exchange.respond(200, (), b"%b %b %b" % (exchange.method, exchange.path, body))


@pytest.mark.parametrize(
    "first",
    [
        b"POST /first HTTP/1.1\r\n" + UPGRADE + LENGTH + HIDDEN,
        b"POST /first HTTP/1.1\r\n" + UPGRADE + CHUNKED,
        b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n" + LENGTH + HIDDEN,
    ],
    ids=["upgrade with a length", "upgrade in chunks", "connect"],
)
async def test_the_body_of_a_request_that_offers_another_protocol_is_its_body(first: bytes) -> None:
    async with serving(echo) as served:
        whole = bodies(await served.answers(first + LAST))
        assert [answer.split(b" ", 2)[2] for answer in whole] == [HIDDEN, b""]
        assert whole[1].startswith(b"GET /last")


async def test_it_may_come_byte_by_byte() -> None:
    async with serving(echo) as served:
        reader, writer = await served.connect()
        for byte in b"POST /first HTTP/1.1\r\n" + UPGRADE + LENGTH + HIDDEN + LAST:
            writer.write(bytes((byte,)))
            await writer.drain()
        assert bodies(await reader.read()) == [b"POST /first " + HIDDEN, b"GET /last "]
        writer.close()


async def test_a_length_that_nobody_can_know_is_refused_there_too() -> None:
    async with serving(echo) as served:
        got = await served.answers(
            b"POST /first HTTP/1.1\r\n" + UPGRADE + b"transfer-encoding: gzip\r\n\r\n" + HIDDEN + LAST
        )
        assert got.startswith(b"HTTP/1.1 400")
        assert len(bodies(got)) == 1


async def test_many_that_offer_another_protocol_may_come_at_once() -> None:
    async with serving(echo) as served:
        whole = bodies(await served.answers((b"GET /first HTTP/1.1\r\n" + UPGRADE + b"\r\n") * 2000 + LAST))
        assert whole == [b"GET /first "] * 2000 + [b"GET /last "]


async def test_http_1_0_is_closed_after_its_answer_also_where_it_would_be_kept() -> None:
    """The answer does not say that it is kept, which such a client has to be told; and its chunks are nothing that a
    proxy of HTTP/1.0 knows."""
    async with serving(echo) as served:
        got = await served.answers(
            b"POST /first HTTP/1.0\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n"
            + HIDDEN
        )
        assert bodies(got) == [b"POST /first z"]
        assert b"connection: close" in got
