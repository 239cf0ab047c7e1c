"""An OpenAI-shaped upstream that costs as little as it can, in a process of its own: it waits, it does not think.

It answers `POST` with a chat completion of `max_tokens` tokens (16 if the request does not say), whole or as a stream
of so many chunks, one each interval. All streams share one clock: a tick writes to every stream that is due. Any `GET`
is answered as a healthy model server would. The process ends with the one that started it.
"""

from __future__ import annotations

import asyncio
import functools
import json
import re
import sys
from collections.abc import Callable
from typing import Any, cast

import httptools

MODEL = "bench"
PROMPT_TOKENS = 12
"""What every answer's usage says of its prompt."""
DEFAULT_TOKENS = 16
TICK_SECONDS = 0.001

_MAX_TOKENS = re.compile(rb'"max_(?:completion_)?tokens": ?(\d+)')
_STREAM = re.compile(rb'"stream": ?true')
_USAGE = re.compile(rb'"include_usage": ?true')
_SHARED: dict[str, Any] = {"id": "chatcmpl-bench", "created": 1795000000, "model": MODEL}
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_PAGES: dict[bytes, tuple[str, bytes]] = {
    b"/v1/models": (
        "application/json",
        json.dumps(
            {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 1, "owned_by": "x"}]}
        ).encode(),
    ),
    b"/health": ("application/json", b'{"status":"ok"}'),
    b"/metrics": (
        "text/plain; version=0.0.4",
        f'vllm:num_requests_running{{model_name="{MODEL}"}} 0.0\n'
        f'vllm:num_requests_waiting{{model_name="{MODEL}"}} 0.0\n'
        f'vllm:kv_cache_usage_perc{{model_name="{MODEL}"}} 0.0\n'.encode(),
    ),
}
_ELSE = ("application/json", json.dumps({"model_path": MODEL, "model_id": MODEL, "is_generation": True}).encode())


def answer_of(kind: str, content: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


def usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": tokens, "total_tokens": PROMPT_TOKENS + tokens}


@functools.lru_cache(maxsize=64)
def whole(tokens: int) -> bytes:
    """A whole answer of so many tokens, head and all."""
    message = {"role": "assistant", "content": " token" * tokens}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = {**_SHARED, "object": "chat.completion", "choices": [choice], "usage": usage(tokens)}
    return answer_of("application/json", json.dumps(body).encode())


def _framed(event: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(event), event)


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return (
        b"data: " + json.dumps({**_SHARED, "object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"
    )


FIRST = _framed(_chunk({"role": "assistant", "content": " token"}))
MIDDLE = _framed(_chunk({"content": " token"}))


@functools.lru_cache(maxsize=64)
def last(tokens: int, with_usage: bool) -> bytes:
    """What the last tick of a stream writes: the last token, usage if asked for, the end."""
    end = _framed(_chunk({"content": " token"}, "stop"))
    if with_usage:
        body = {**_SHARED, "object": "chat.completion.chunk", "choices": [], "usage": usage(tokens)}
        end += _framed(b"data: " + json.dumps(body).encode() + b"\n\n")
    return end + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Wheel:
    """Slots of `TICK_SECONDS`; a stream stays in the slot in which it began. No stream, no timer."""

    def __init__(self, interval_seconds: float) -> None:
        self._slots: list[set[Connection]] = [set() for _ in range(max(1, round(interval_seconds / TICK_SECONDS)))]
        self._now = 0
        self._running = 0
        self._due = 0.0

    def add(self, stream: Connection) -> Callable[[], None]:
        """The first tick for it comes an interval from now. Returns what takes it out again."""
        if not self._running:
            self._due = asyncio.get_running_loop().time() + TICK_SECONDS
            asyncio.get_running_loop().call_at(self._due, self._tick)
        self._running += 1
        slot = self._slots[self._now]
        slot.add(stream)

        def leave() -> None:
            if stream in slot:
                slot.remove(stream)
                self._running -= 1

        return leave

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._due <= now and self._running:
            self._due += TICK_SECONDS
            self._now = (self._now + 1) % len(self._slots)
            for stream in tuple(self._slots[self._now]):
                stream.due()
        if self._running:
            loop.call_at(self._due, self._tick)


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._body: list[bytes] = []
        self._left = self._tokens = 0
        self._with_usage = False
        self._leave: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._end()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.write(answer_of("text/plain", b"not HTTP", "400 Bad Request"))
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._path = url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        self._body.clear()
        if self._parser.get_method() != b"POST":
            self._transport.write(answer_of(*_PAGES.get(self._path.partition(b"?")[0], _ELSE)))
            return
        # What matters stands in the last bytes or, where a peer wrote the body anew, in the first: a prompt does not
        # hold it, since the quotes inside it are escaped.
        said = body if len(body) < 2048 else body[:1024] + b" " + body[-1024:]
        found = _MAX_TOKENS.search(said)
        tokens = max(2, int(found[1])) if found else DEFAULT_TOKENS
        if not _STREAM.search(said):
            self._transport.write(whole(tokens))
            return
        self._tokens, self._left, self._with_usage = tokens, tokens - 1, bool(_USAGE.search(said))
        self._transport.write(_STREAM_HEAD + FIRST)
        self._leave = self._wheel.add(self)

    def due(self) -> None:
        self._left -= 1
        if self._left:
            self._transport.write(MIDDLE)
        else:
            self._transport.write(last(self._tokens, self._with_usage))
            self._end()

    def _end(self) -> None:
        if self._leave is not None:
            self._leave()
            self._leave = None


async def main(interval_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(interval_seconds)
    server = await loop.create_server(lambda: Connection(wheel), "127.0.0.1", 0, backlog=2048)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.buffer.read)  # ends when whoever started it is gone


if __name__ == "__main__":
    import gc

    import uvloop

    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(float(sys.argv[1])))
