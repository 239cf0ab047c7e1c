"""An OpenAI backend in front of a raw peer, and the bytes such a peer sends."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import msgspec

from gateway.backends.contract import OnTheWire, Reply, UpstreamRequest
from gateway.backends.errors import UpstreamError
from gateway.backends.openai import OpenAIBackend
from gateway.policy.schema import BackendSettings, ServedBy
from tests.backends.http1.peer import Line, Peer, Script, raw_peer
from tests.backends.sinks import Collector

DONE = b"data: [DONE]\n\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def event(data: object) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def word(text: str) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text}}]})


def usage(prompt: int, completion: int) -> bytes:
    return event({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def begin_stream(line: Line, *words: str) -> None:
    await line.request()
    await line.send(STREAM_HEAD)
    for text in words:
        await line.send(chunk(word(text)))


def request(
    *, stream: bool = True, seconds: float = 20.0, total_seconds: float = inf, body: bytes | None = None, **fields: Any
) -> UpstreamRequest:
    raw = msgspec.json.encode({"model": "tuned", "stream": stream, **fields}) if body is None else body
    now = time.monotonic()
    return UpstreamRequest(
        operation="chat", target=ServedBy(backend="box", model="up/stream"), alias="tuned", body=raw,
        fields=msgspec.json.decode(raw, type=dict[str, msgspec.Raw]), stream=stream, include_usage=False,
        first_byte_deadline=now + seconds, total_deadline=now + total_seconds, request_id="r1",
        prompt_bytes=len(raw), wire=OnTheWire(),
    )  # fmt: skip


def backend_at(base_url: str, **settings: Any) -> OpenAIBackend:
    speed = {"single_stream_tokens_per_second": 95}
    return OpenAIBackend(
        "box", BackendSettings.model_validate({"wire": "openai", "base_url": base_url, "speed": speed, **settings})
    )


@asynccontextmanager
async def backend_for(script: Script, **settings: Any) -> AsyncIterator[tuple[OpenAIBackend, Peer]]:
    async with raw_peer(script) as peer:
        backend = backend_at(f"http://127.0.0.1:{peer.address.port}/v1", **settings)
        try:
            yield backend, peer
        finally:
            await backend.aclose()


def open_connections(backend: OpenAIBackend) -> int:
    return backend._client.pool(backend._address).open_connections


async def refused(backend: OpenAIBackend, asked: UpstreamRequest) -> UpstreamError:
    """What `send` fails with."""
    try:
        await backend.send(asked)
    except UpstreamError as error:
        return error
    raise AssertionError("it was answered")


async def broken_off(reply: Reply, sink: Collector) -> UpstreamError:
    """What `relay` fails with."""
    try:
        await reply.relay(sink)
    except UpstreamError as error:
        return error
    raise AssertionError("the stream ended well")
