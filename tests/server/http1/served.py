"""A server in this loop with a handler of the test's own, and bytes sent to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gateway.server.http1 import Exchange, Limits, Server

SECONDS = 20.0
"""A test waits no longer for anything."""
Handler = Callable[[Exchange], Coroutine[Any, Any, None]]


@dataclass
class Served:
    server: Server
    address: tuple[str, int]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.address)

    async def answers(self, data: bytes) -> bytes:
        """All that comes, up to the connection's end."""
        reader, writer = await self.connect()
        writer.write(data)
        async with asyncio.timeout(SECONDS):
            got = await reader.read()
        writer.close()
        return got


@asynccontextmanager
async def serving(handler: Handler, limits: Limits | None = None) -> AsyncIterator[Served]:
    server = Server(handler, limits or Limits())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        await server.start([listener])
        try:
            yield Served(server, listener.getsockname()[:2])
        finally:
            await server.aclose()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():
            await asyncio.sleep(0.01)


def bodies(got: bytes) -> list[bytes]:
    """Of answers with a Content-Length, one behind the other."""
    found = []
    while got:
        head, _, rest = got.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        found.append(rest[:length])
        got = rest[length:]
    return found
