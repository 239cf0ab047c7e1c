"""A connection can be ended, also when its client takes nothing of what was written."""

from __future__ import annotations

import asyncio
import socket

from starlette.types import Receive, Scope, Send

from gateway.server.http1 import Exchange, Limits, Server
from gateway.server.http1.asgi import ABORT, run_asgi

STALL_SECONDS = 0.5


async def pour(scope: Scope, receive: Receive, send: Send) -> None:
    """Writes until its client takes nothing, and then ends the connection."""
    try:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            async with asyncio.timeout(STALL_SECONDS):
                await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
    except TimeoutError:
        scope["extensions"][ABORT]["end"]()
        while (await receive())["type"] != "http.disconnect":
            pass


async def test_a_client_that_takes_nothing_does_not_keep_its_connection() -> None:
    async def handle(exchange: Exchange) -> None:
        await run_asgi(pour, exchange, ("127.0.0.1", 0))

    server = Server(handle, Limits())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        await server.start([listener])
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
            while not server.open_connections:
                await asyncio.sleep(0.01)
            async with asyncio.timeout(20):
                while server.open_connections:
                    await asyncio.sleep(0.05)
        await server.aclose()
