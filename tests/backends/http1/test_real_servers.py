"""Against servers that people run: uvicorn, which vLLM serves with, and aiohttp's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from aiohttp import web

from gateway.backends.http1 import Address, Client, Deadlines

DEADLINES = Deadlines(connect_seconds=5, first_byte_seconds=5, between_chunks_seconds=5, total_seconds=10)


async def asgi_app(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
    """POST: the body comes back. GET: twenty events. Anything else: only a head."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-path", scope["raw_path"])]})
    if scope["method"] == "GET":
        for number in range(20):
            await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
            await asyncio.sleep(0)
        body = b""
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def uvicorn_server() -> AsyncIterator[Address]:
    server = uvicorn.Server(uvicorn.Config(asgi_app, port=0, log_level="error", lifespan="off"))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    yield Address("127.0.0.1", server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    await task


@asynccontextmanager
async def aiohttp_server() -> AsyncIterator[Address]:
    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {"x-path": request.raw_path}
        if request.method != "GET":
            return web.Response(body=body, headers=headers)
        response = web.StreamResponse(headers=headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        for number in range(20):
            await response.write(b"data: %d\n\n" % number)
        return response

    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield Address("127.0.0.1", runner.addresses[0][1])
    await runner.cleanup()


@pytest.mark.parametrize("server", [uvicorn_server, aiohttp_server])
async def test_bodies_streams_and_heads(client: Client, server: Callable[[], Any]) -> None:
    async with server() as address:
        for size in (0, 1, 100_000, 3_000_000):
            response = await client.send(b"POST", address, b"/v1/arn%3Aaws%2Fx", (), bytes(size), DEADLINES)
            assert response.header(b"x-path") == b"/v1/arn%3Aaws%2Fx"
            assert await response.read(size) == bytes(size)
            response = await client.send(b"GET", address, b"/stream", deadlines=DEADLINES)
            assert await response.read(1000) == b"".join(b"data: %d\n\n" % number for number in range(20))
            response = await client.send(b"HEAD", address, b"/head", deadlines=DEADLINES)
            assert (response.status, await response.read(0)) == (200, b"")
        assert client.pool(address).open_connections == 1
        await client.aclose()


@pytest.mark.parametrize("server", [uvicorn_server, aiohttp_server])
async def test_many_at_once(client: Client, server: Callable[[], Any]) -> None:
    async def one(address: Address, number: int) -> bool:
        response = await client.send(b"POST", address, b"/%d" % number, (), b"%d" % number, DEADLINES)
        return await response.read(10) == b"%d" % number == (response.header(b"x-path") or b"")[1:]

    async with server() as address:
        assert all(await asyncio.gather(*(one(address, number) for number in range(300))))
        assert client.pool(address).open_connections <= 100
        await client.aclose()
