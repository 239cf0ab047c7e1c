"""Three ways to ask an upstream over HTTP/1.1, behind one interface: aiohttp, the gateway's own client, a bare parser.

All three send the same headers and bodies, keep their connections, and take an answer in the pieces in which it comes.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

import aiohttp
import httptools
import yarl

from benchmarks.paced_upstream import ANSWER_PATH, EVENTS_PATH
from gateway.backends.http1 import Address, Client, Deadlines, Limits

HEADERS = {
    "content-type": "application/json",
    "accept-encoding": "identity",
    "authorization": "Bearer 0123456789",
    "x-request-id": "req-0123456789",
}
CONNECTIONS = 128
CONNECT_SECONDS, FIRST_BYTE_SECONDS, STALL_SECONDS = 5.0, 30.0, 20.0
IDLE_SECONDS = 60.0
"""Longer than a client waits for its next turn, so that no figure holds a connection's opening."""
MAX_ANSWER_BYTES = 1024 * 1024
COPIED_BYTES = 16 * 1024
"""Of a body: joining it to its head is cheaper than two buffers up to here."""
_RAW_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


class Asks(Protocol):
    """Each raises where the upstream answers badly or not at all; `Bare` may just wait."""

    async def whole(self, body: bytes) -> int:
        """Bytes of the answer."""
        ...

    async def stream(self, body: bytes) -> tuple[int, int]:
        """Bytes of the answer, and the reads that brought them."""
        ...

    async def aclose(self) -> None: ...


class Aiohttp:
    """The session and the reads of the `openai` backend: a timeout up to the first byte, then one timer a stream."""

    def __init__(self, port: int) -> None:
        base = yarl.URL(f"http://127.0.0.1:{port}")
        self._answer, self._events = base.with_path(ANSWER_PATH), base.with_path(EVENTS_PATH)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=IDLE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=None),
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def whole(self, body: bytes) -> int:
        size = 0
        async with asyncio.timeout(FIRST_BYTE_SECONDS):
            response = await self._post(self._answer, body)
            while data := await response.content.readany():
                size += len(data)
        return size

    async def stream(self, body: bytes) -> tuple[int, int]:
        async with asyncio.timeout(FIRST_BYTE_SECONDS):
            response = await self._post(self._events, body)
            size = len(await response.content.readany())
        reads = 1
        watch = asyncio.get_running_loop().call_later(STALL_SECONDS, response.close)
        while data := await response.content.readany():
            size += len(data)
            reads += 1
        watch.cancel()
        return size, reads

    async def _post(self, url: yarl.URL, body: bytes) -> aiohttp.ClientResponse:
        response = await self._session.post(url, data=body, headers={**HEADERS}, allow_redirects=False)
        if response.status != 200:
            raise RuntimeError(f"the upstream answered HTTP {response.status}")
        return response

    async def aclose(self) -> None:
        await self._session.close()


class Http1:
    """`gateway.backends.http1` with all the deadlines that a backend sets."""

    def __init__(self, port: int) -> None:
        self._address = Address("127.0.0.1", port)
        self._client = Client(limits=Limits(connections=CONNECTIONS, idle_seconds=IDLE_SECONDS))
        self._deadlines = Deadlines(CONNECT_SECONDS, FIRST_BYTE_SECONDS, STALL_SECONDS)
        self._answer, self._events = ANSWER_PATH.encode(), EVENTS_PATH.encode()

    async def whole(self, body: bytes) -> int:
        response = await self._client.send(b"POST", self._address, self._answer, _RAW_HEADERS, body, self._deadlines)
        if response.status != 200:
            raise RuntimeError(f"the upstream answered HTTP {response.status}")
        return len(await response.read(MAX_ANSWER_BYTES))

    async def stream(self, body: bytes) -> tuple[int, int]:
        size = reads = 0
        response = await self._client.send(b"POST", self._address, self._events, _RAW_HEADERS, body, self._deadlines)
        if response.status != 200:
            raise RuntimeError(f"the upstream answered HTTP {response.status}")
        async for data in response:
            size += len(data)
            reads += 1
        return size, reads

    async def aclose(self) -> None:
        await self._client.aclose()


class BareConnection(asyncio.Protocol):
    """httptools and one future a wait."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.done = False
        self.waiter: asyncio.Future[None] | None = None
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        waiter = self.waiter
        if waiter is not None and (self.pieces or self.done):
            self.waiter = None
            waiter.set_result(None)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, data: bytes) -> None:
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        self.done = True


class Bare:
    """The floor: no deadlines, limits, rules of a pool, checks or errors. Nothing that could be put to use."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[BareConnection] = []

    async def whole(self, body: bytes) -> int:
        loop = asyncio.get_running_loop()
        connection = await self._start(ANSWER_PATH, body)
        while not connection.done:
            connection.waiter = loop.create_future()
            await connection.waiter
        self._free.append(connection)
        return len(b"".join(connection.pieces))

    async def stream(self, body: bytes) -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        connection = await self._start(EVENTS_PATH, body)
        size = reads = 0
        while True:
            if connection.pieces:
                size += len(b"".join(connection.pieces))
                connection.pieces.clear()
                reads += 1
            elif connection.done:
                break
            else:
                connection.waiter = loop.create_future()
                await connection.waiter
        self._free.append(connection)
        return size, reads

    async def _start(self, path: str, body: bytes) -> BareConnection:
        if self._free:
            connection = self._free.pop()
        else:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(BareConnection, "127.0.0.1", self._port)
        connection.headers, connection.pieces, connection.done = [], [], False
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in _RAW_HEADERS)
        head = b"POST %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n%s" % (path.encode(), self._port, lines)
        head += b"content-length: %d\r\n\r\n" % len(body)
        if len(body) < COPIED_BYTES:
            connection.transport.write(head + body)
        else:
            connection.transport.writelines((head, body))
        return connection

    async def aclose(self) -> None:
        for connection in self._free:
            connection.transport.close()
