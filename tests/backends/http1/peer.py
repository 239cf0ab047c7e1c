"""A raw TCP peer that plays a script for each connection: it answers well, badly, late, half, or not at all."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from gateway.backends.http1 import Address, Client

Script = Callable[["Line"], Awaitable[None]]
LONG_ENOUGH_SECONDS = 5.0


class Line:
    """One connection as the peer sees it. `number` counts from 1 in the order of arrival."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer
        self.requests: list[tuple[bytes, bytes]] = []
        """Head and body of each request read so far."""
        self.gone = asyncio.Event()

    async def request(self) -> bytes:
        """Reads one whole request; gives its request line. Raises `IncompleteReadError` at the end."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        self.requests.append((head, await self.reader.readexactly(length)))
        return head.split(b"\r\n")[0]

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes = b"ok", *headers: bytes) -> None:
        lines = b"".join(header + b"\r\n" for header in headers)
        await self.send(b"HTTP/1.1 200 OK\r\n%scontent-length: %d\r\n\r\n%s" % (lines, len(body), body))

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def start_chunked(self) -> None:
        await self.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """RST instead of FIN."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def end(self) -> None:
        """Until the other side has closed the connection."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass
        self.gone.set()


class Peer:
    def __init__(self, address: Address) -> None:
        self.address = address
        self.lines: list[Line] = []

    async def line(self, number: int = 1) -> Line:
        while len(self.lines) < number:
            await asyncio.sleep(0)
        return self.lines[number - 1]

    async def sees_the_end(self, number: int = 1) -> None:
        """The connection is closed from the other side, and the script has noticed."""
        async with asyncio.timeout(LONG_ENOUGH_SECONDS):
            await (await self.line(number)).gone.wait()

    @property
    def requests(self) -> list[bytes]:
        return [head.split(b"\r\n")[0] for line in self.lines for head, _ in line.requests]


async def serve_ok(line: Line) -> None:
    """A good server: `ok` to every request, for as long as the other side likes."""
    while True:
        await line.request()
        await line.answer()


def once(*parts: bytes, then: Callable[[Line], None] | None = None) -> Script:
    """Reads one request, plays `parts`, then does `then` (close, reset) or waits for the other side to leave."""

    async def script(line: Line) -> None:
        await line.request()
        for part in parts:
            await line.send(part)
            await asyncio.sleep(0.005)  # so that each arrives on its own
        if then is not None:
            then(line)
        else:
            await line.end()

    return script


@asynccontextmanager
async def raw_peer(script: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[Peer]:
    tasks: set[asyncio.Task[None]] = set()
    peer: Peer

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        line = Line(len(peer.lines) + 1, reader, writer)
        peer.lines.append(line)
        try:
            await script(line)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            line.gone.set()
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(accepted, host, 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    peer = Peer(Address("localhost" if tls is not None else host, port, tls=tls is not None))
    try:
        yield peer
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask(client: Client, address: Address, path: bytes = b"/") -> bytes:
    return await (await client.send(b"POST", address, path, body=b"x")).read(100)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG_ENOUGH_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)
