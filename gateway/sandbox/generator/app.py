"""The ASGI application: OpenAI's generation endpoints over the box, and what a vLLM server has beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import aclosing
from typing import Any

from gateway.sandbox.bedrock.text import Finish, Generator, Piece, TextRequest
from gateway.sandbox.generator import metrics
from gateway.sandbox.generator.adapters import Adapters
from gateway.sandbox.generator.answers import DONE, Answer, encode
from gateway.sandbox.generator.box import Box, Stream
from gateway.sandbox.generator.questions import Kind, Question, RefusedError, fitted, read_question
from gateway.sandbox.generator.settings import GeneratorSettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY_BYTES = 20 * 1024 * 1024
VERSION = "generator (simulated)"
_GENERATION: dict[str, Kind] = {"/v1/chat/completions": "chat", "/v1/completions": "completions"}
_ADAPTERS = {"/v1/load_lora_adapter": True, "/v1/unload_lora_adapter": False}
_JSON = b"application/json"


class GeneratorServer:
    """Pure ASGI. A client that goes away ends its own generation at once and leaves its place to the next."""

    def __init__(self, settings: GeneratorSettings) -> None:
        self.settings = settings
        self.box = Box(settings)
        self.adapters = Adapters(settings)
        self._generator = Generator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        kind = _GENERATION.get(scope["path"])
        if scope["method"] == "POST" and scope["path"] in _ADAPTERS:
            await self._load_or_unload(_ADAPTERS[scope["path"]], receive, send)
            return
        if kind is None or scope["method"] != "POST":
            await self._rest(scope, send)
            return
        try:
            raw = await _read(receive)
            if raw is not None:
                await self._while_connected(self._answer(kind, raw, send), receive)
        except RefusedError as error:
            await _whole(send, error.status, encode({"error": error.error}))

    async def _while_connected(self, work: Awaitable[None], receive: Receive) -> None:
        """Awaits `work`, and cancels it when the client closes the connection."""
        task = asyncio.current_task()
        assert task is not None
        gone = asyncio.create_task(_cancel_when_gone(task, receive))
        try:
            await work
        except asyncio.CancelledError:
            if not gone.done():
                raise  # the server is stopping
            task.uncancel()
        finally:
            gone.cancel()

    async def _answer(self, kind: Kind, raw: bytes, send: Send) -> None:
        question = read_question(kind, raw, self.settings, self.adapters.knows)
        prompt_tokens = self._generator.count(question.text)
        text = fitted(question, prompt_tokens, self.settings)
        answer = Answer(question)
        async with self.box.stream(prompt_tokens) as stream:
            if question.stream:
                await self._stream(question, text, prompt_tokens, stream, answer, send)
                return
            parts: list[str] = []
            output_tokens, finish = 0, "stop"
            async with aclosing(await self._generator.open(text)) as words:
                async for part in words.parts:
                    await _make(stream, part)
                    output_tokens += part.tokens
                    if isinstance(part, Finish):
                        finish = part.reason
                    else:
                        parts.append(part.text)
            stream.finished = finish
        await _whole(send, 200, answer.whole("".join(parts), finish, prompt_tokens, output_tokens))

    async def _stream(
        self, question: Question, text: TextRequest, prompt_tokens: int, stream: Stream, answer: Answer, send: Send
    ) -> None:
        await send(_start(200, b"text/event-stream; charset=utf-8"))
        output_tokens = 0
        pending = answer.opening()
        async with aclosing(await self._generator.open(text)) as words:
            async for part in words.parts:
                await _make(stream, part)
                output_tokens += part.tokens
                if isinstance(part, Finish):
                    stream.finished = part.reason
                    pending += answer.piece("", part.reason)
                    continue
                body = pending + answer.piece(part.text)
                pending = b""
                await send({"type": "http.response.body", "body": body, "more_body": True})
        if question.include_usage:
            pending += answer.usage_event(prompt_tokens, output_tokens)
        await send({"type": "http.response.body", "body": pending + DONE, "more_body": False})

    async def _load_or_unload(self, load: bool, receive: Receive, send: Send) -> None:
        try:
            raw = await _read(receive)
            if raw is not None:
                said = self.adapters.load(raw) if load else self.adapters.unload(raw)
                await _whole(send, 200, said.encode(), b"text/plain; charset=utf-8")
        except RefusedError as error:
            await _whole(send, error.status, encode({"error": {**error.error, "code": error.status}}))

    async def _rest(self, scope: Scope, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if method == "GET" and path == "/v1/models":
            models = [
                {
                    "id": model, "object": "model", "created": 0, "owned_by": VERSION,
                    "max_model_len": self.settings.context_tokens,
                }
                for model in self.settings.models
            ]  # fmt: skip
            models += [{**models[0], **card} for card in self.adapters.cards()]
            await _whole(send, 200, encode({"object": "list", "data": models}))
        elif method == "GET" and path == "/health":
            await _whole(send, 200, b"")
        elif method == "GET" and path == "/version":
            await _whole(send, 200, encode({"version": VERSION}))
        elif method == "GET" and path == "/metrics":
            await _whole(send, 200, metrics.page(self.box), b"text/plain; version=0.0.4; charset=utf-8")
        else:
            error = RefusedError(404, f"Unknown request URL: {method} {path[:200]}.", "unknown_url").error
            await _whole(send, 404, encode({"error": error}))


async def _make(stream: Stream, part: Piece | Finish) -> None:
    for _ in range(part.tokens):
        await stream.token()


async def _cancel_when_gone(task: asyncio.Task[None], receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()


def _start(status: int, content_type: bytes, length: int | None = None) -> Message:
    headers = [(b"content-type", content_type)]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    return {"type": "http.response.start", "status": status, "headers": headers}


async def _whole(send: Send, status: int, body: bytes, content_type: bytes = _JSON) -> None:
    await send(_start(status, content_type, len(body)))
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None when the client went away meanwhile. Raises `RefusedError` above MAX_BODY_BYTES."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            raise RefusedError(413, f"The body has more than {MAX_BODY_BYTES} bytes.", "request_too_large")
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"].removeprefix("lifespan.")
        await send({"type": f"lifespan.{kind}.complete"})
        if kind == "shutdown":
            return
