"""A simulated upstream for client benchmarks, in a process of its own: a short answer, or events at a fixed pace.

It does as little as it can: every request is answered with the same bytes whatever its body says, and every connection
stays open. It ends with the process that started it, however that one ends.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import httptools
import uvloop

ANSWER_PATH = "/answer"
EVENTS_PATH = "/events"
EVENTS = 64
PACE_SECONDS = 0.02
ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"hello world"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}'
)
EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}\n\n'
)

_HEAD = b"HTTP/1.1 200 OK\r\ndate: Mon, 23 Nov 2026 00:00:00 GMT\r\nserver: uvicorn\r\nx-request-id: 0123456789\r\n"
_WHOLE = _HEAD + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
_STREAM_HEAD = _HEAD + b"content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
_CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
_LAST_CHUNK = b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, path: bytes) -> None:
        self._path = path

    def on_message_complete(self) -> None:
        if self._path == ANSWER_PATH.encode():
            self._transport.write(_WHOLE)
            return
        self._left = EVENTS
        self._transport.write(_STREAM_HEAD)
        self._next_event()

    def _next_event(self) -> None:
        if self._transport.is_closing():
            return
        if self._left == 0:
            self._transport.write(_LAST_CHUNK)
            return
        self._left -= 1
        self._transport.write(_CHUNK)
        asyncio.get_running_loop().call_later(PACE_SECONDS, self._next_event)


@contextmanager
def paced_upstream() -> Iterator[int]:
    """Its port on 127.0.0.1."""
    process = subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the upstream did not start; its reason is above")
        yield int(line)
    finally:
        process.kill()
        process.wait()


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)  # ends when whoever started it is gone


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
