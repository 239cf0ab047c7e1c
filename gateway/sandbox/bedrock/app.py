"""The ASGI application: Bedrock's four runtime operations, S3 Vectors, and the sandbox's own endpoints."""

from __future__ import annotations

import asyncio
import json
import logging

from gateway.sandbox.bedrock import admin, cloudwatch
from gateway.sandbox.bedrock.auth import authenticate
from gateway.sandbox.bedrock.embeddings import embed
from gateway.sandbox.bedrock.errors import BedrockError, Dropped, invalid
from gateway.sandbox.bedrock.exchange import Exchange, Receive, Scope, Send
from gateway.sandbox.bedrock.operations import infer
from gateway.sandbox.bedrock.router import resolve, route
from gateway.sandbox.bedrock.s3vectors import respond
from gateway.sandbox.bedrock.settings import EmbeddingSettings, SandboxSettings
from gateway.sandbox.bedrock.state import Sandbox
from gateway.sandbox.s3vectors.service import operation_of

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 25_000_000
"""InvokeModel's limit in the service model."""


class BedrockSandbox:
    """Pure ASGI. A client that goes away ends its own request at once."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.sandbox = Sandbox(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        exchange = Exchange(scope, send)
        body = await _read(receive)
        if body is None:
            return
        work = asyncio.create_task(self._answer(scope, body, exchange))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not exchange.done:
                work.cancel()
            await work
        except Dropped:
            exchange.drop()
            await gone
        except asyncio.CancelledError:
            if not gone.done():
                raise
        finally:
            gone.cancel()
            work.cancel()

    async def _answer(self, scope: Scope, body: bytes, exchange: Exchange) -> None:
        method, raw_path, query = scope["method"], scope["raw_path"], scope.get("query_string", b"")
        if raw_path.startswith(b"/_sandbox"):
            status, content = admin.answer(self.sandbox, method, raw_path.decode(), query.decode(), body)
            await _json(exchange, status, content, {})
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("x-amz-target", "").startswith(cloudwatch.TARGET):
            status, content = cloudwatch.answer(self.sandbox, headers, body)
            await _json(exchange, status, content, {"content-type": cloudwatch.CONTENT_TYPE})
            return
        settings = self.sandbox.settings
        operation = operation_of(method, raw_path)
        if operation is not None:
            await respond(self.sandbox.s3vectors, settings, operation, scope, headers, body, exchange)
            return
        model = None
        try:
            called = route(method, raw_path)
            authenticate(method, raw_path, query, headers, body, settings)
            if len(body) > MAX_BODY_BYTES:
                raise invalid(f"The body has {len(body)} bytes; the limit is {MAX_BODY_BYTES}.")
            model = resolve(called.model_id, settings)
            if isinstance(model, EmbeddingSettings):
                await embed(self.sandbox, called, model, body, exchange)
            else:
                await infer(self.sandbox, called, model, body, exchange)
        except BedrockError as error:
            if model is None:
                self.sandbox.refused[error.name] += 1
            await _json(exchange, error.status, error.body(), {"x-amzn-errortype": error.name})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.sandbox.text.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _json(exchange: Exchange, status: int, content: object, headers: dict[str, str]) -> None:
    body = json.dumps(content).encode()
    await exchange.start(status, "application/json", headers | {"content-length": str(len(body))})
    await exchange.end(body)


async def _read(receive: Receive) -> bytes | None:
    """The whole body, a little over the limit at most; None when the client went away meanwhile."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if size <= MAX_BODY_BYTES:
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
