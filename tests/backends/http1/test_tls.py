"""TLS: verified by default, for the name that was asked for, and with the ends of bodies as strict as without it."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import uvloop

from gateway.backends.http1 import Address, Client, Deadlines, Limits, errors
from tests.backends.http1.peer import Line, once, raw_peer, serve_ok

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command for a certificate")
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed one for `localhost`, with its key, in one file."""
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", file, "-out", f"{file}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_bytes(file.read_bytes() + Path(f"{file}.crt").read_bytes())
    return file


@pytest.fixture
def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusting(certificate: Path) -> Client:
    return Client(tls=ssl.create_default_context(cafile=str(certificate)))


async def test_an_exchange_and_the_next_on_the_same_connection(trusting: Client, server_side: ssl.SSLContext) -> None:
    names: list[str | None] = []
    server_side.sni_callback = lambda _socket, name, _context: names.append(name)
    async with raw_peer(serve_ok, server_side) as peer:
        for size in (5, 40_000):
            response = await trusting.send(b"POST", peer.address, b"/", body=bytes(size))
            assert await response.read(9) == b"ok"
        assert [len(body) for _, body in peer.lines[0].requests] == [5, 40_000]
        assert names == ["localhost"]
        assert b"host: localhost:" in peer.lines[0].requests[0][0]
    await trusting.aclose()


async def test_a_certificate_nobody_vouches_for_is_refused_by_default(server_side: ssl.SSLContext) -> None:
    client = Client()
    async with raw_peer(serve_ok, server_side) as peer:
        with pytest.raises(errors.TLSFailed, match="certificate is not accepted") as caught:
            await client.send(b"POST", peer.address, b"/", body=b"secret")
        assert not caught.value.sent
        assert client.pool(peer.address).open_connections == 0
        assert peer.requests == []
    await client.aclose()


async def test_a_certificate_for_another_name_is_refused(trusting: Client, server_side: ssl.SSLContext) -> None:
    async with raw_peer(serve_ok, server_side) as peer:
        with pytest.raises(errors.TLSFailed, match="certificate"):
            await trusting.send(b"GET", Address("127.0.0.1", peer.address.port, tls=True), b"/")
    await trusting.aclose()


async def test_a_peer_that_speaks_no_tls(trusting: Client) -> None:
    async def script(line: Line) -> None:
        await line.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        line.close()

    async with raw_peer(script) as peer:
        with pytest.raises(errors.TLSFailed) as caught:
            await trusting.send(b"GET", Address("localhost", peer.address.port, tls=True), b"/")
        assert not caught.value.sent
    await trusting.aclose()


@pytest.mark.parametrize("deadlines", [Deadlines(connect_seconds=0.1), Deadlines(first_byte_seconds=0.1)])
async def test_a_handshake_that_hangs(trusting: Client, deadlines: Deadlines) -> None:
    async with raw_peer(Line.end) as peer:
        with pytest.raises((errors.ConnectTimeout, errors.FirstByteTimeout)) as caught:
            await trusting.send(b"GET", Address("127.0.0.1", peer.address.port, tls=True), b"/", deadlines=deadlines)
        assert not caught.value.sent
        await peer.sees_the_end()
    await trusting.aclose()


async def test_cancelled_during_the_handshake(trusting: Client) -> None:
    async with raw_peer(Line.end) as peer:
        address = Address("127.0.0.1", peer.address.port, tls=True)
        task = asyncio.create_task(trusting.send(b"GET", address, b"/"))
        await peer.line()
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await peer.sees_the_end()
        assert trusting.pool(address).open_connections == 0
    await trusting.aclose()


async def test_cancelled_in_every_step_of_the_loop(certificate: Path, server_side: ssl.SSLContext) -> None:
    client = Client(limits=Limits(connections=1), tls=ssl.create_default_context(cafile=str(certificate)))
    async with raw_peer(serve_ok, server_side) as peer:

        async def whole() -> bytes:
            return await (await client.send(b"GET", peer.address, b"/")).read(9)

        for steps in range(40):
            task = asyncio.create_task(whole())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(5):
            assert await whole() == b"ok"
        assert client.pool(peer.address).open_connections == 1
    await client.aclose()


async def test_cancelled_in_the_middle_of_a_body(trusting: Client, server_side: ssl.SSLContext) -> None:
    async with raw_peer(once(CHUNKED + b"5\r\nhello\r\n"), server_side) as peer:
        response = await trusting.send(b"GET", peer.address, b"/")
        assert await response.chunk() == b"hello"
        response.close()
        await peer.sees_the_end()
    await trusting.aclose()


async def test_a_clean_end_is_the_end_of_an_unframed_body(trusting: Client, server_side: ssl.SSLContext) -> None:
    async with raw_peer(once(b"HTTP/1.1 200 OK\r\n\r\nhello", then=Line.close), server_side) as peer:
        assert await (await trusting.send(b"GET", peer.address, b"/")).read(9) == b"hello"
    await trusting.aclose()


async def test_an_end_without_goodbye_is_not(trusting: Client, server_side: ssl.SSLContext) -> None:
    """Anybody on the way can forge a FIN; only close_notify says that the peer meant it."""
    if not isinstance(asyncio.get_running_loop(), uvloop.Loop):
        pytest.skip("asyncio's own TLS does not tell the two ends apart; production runs on uvloop")

    def cut(line: Line) -> None:
        line.writer.transport.abort()

    async with raw_peer(once(b"HTTP/1.1 200 OK\r\n\r\nhello", then=cut), server_side) as peer:
        response = await trusting.send(b"GET", peer.address, b"/")
        with pytest.raises(errors.BodyCutShort):
            await response.read(99)
    await trusting.aclose()


@pytest.mark.parametrize("end", [Line.close, Line.reset])
async def test_a_body_cut_short(trusting: Client, server_side: ssl.SSLContext, end: object) -> None:
    async with raw_peer(once(CHUNKED + b"5\r\nhello\r\n", then=end), server_side) as peer:  # type: ignore[arg-type]
        response = await trusting.send(b"GET", peer.address, b"/")
        assert await response.chunk() == b"hello"
        with pytest.raises(errors.BodyCutShort):
            await response.chunk()
    await trusting.aclose()


async def test_a_connection_closed_at_rest_is_not_used(trusting: Client, server_side: ssl.SSLContext) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.answer()
        if line.number > 1:
            await line.end()

    async with raw_peer(script, server_side) as peer:
        for _ in range(2):
            response = await trusting.send(b"POST", peer.address, b"/", body=b"x")
            assert await response.read(9) == b"ok"
            await asyncio.sleep(0.02)
        assert len(peer.lines) == 2
    await trusting.aclose()


async def test_a_slow_consumer_holds_the_peer_back(trusting: Client, server_side: ssl.SSLContext) -> None:
    piece, pieces, sent = bytes(65536), 400, 0

    async def script(line: Line) -> None:
        nonlocal sent
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(piece) * pieces))
        for _ in range(pieces):
            await line.send(piece)
            sent += 1
        await line.end()

    async with raw_peer(script, server_side) as peer:
        response = await trusting.send(b"GET", peer.address, b"/")
        sent_before = -1
        while sent_before != sent:
            sent_before = sent
            await asyncio.sleep(0.05)
        assert sent < pieces * 3 // 4
        assert response.buffered_bytes < 1024 * 1024
        assert len(await response.read(len(piece) * pieces)) == len(piece) * pieces
    await trusting.aclose()
