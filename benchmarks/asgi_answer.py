"""An ASGI application that reads a request and answers it as a model would: what any server here is given to serve."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gateway.bench.gateway import mock

PACE_SECONDS = 0.02
JSON = ((b"content-type", b"application/json"),)
EVENTS = ((b"content-type", b"text/event-stream"),)
TOKEN = b'data: {"choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}\n\n'
END = b"data: [DONE]\n\n"


class Asked(msgspec.Struct):
    max_tokens: int
    stream: bool = False


asked_of = msgspec.json.Decoder(Asked).decode


def whole(tokens: int) -> bytes:
    return mock.whole(tokens).partition(b"\r\n\r\n")[2]


async def app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Callable[[Any], Awaitable[None]]
) -> None:
    if scope["type"] != "http":
        return
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    asked = asked_of(b"".join(parts))
    if not asked.stream:
        body = whole(asked.max_tokens)
        headers = [*JSON, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    await send({"type": "http.response.start", "status": 200, "headers": list(EVENTS)})
    for number in range(asked.max_tokens):
        if number:
            await asyncio.sleep(PACE_SECONDS)
        await send({"type": "http.response.body", "body": TOKEN, "more_body": True})
    await send({"type": "http.response.body", "body": END})
