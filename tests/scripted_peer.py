"""A peer that misbehaves to order: a raw TCP server that plays given bytes, hangs, cuts the line or sends garbage.

It stands in for no product: what a well-behaved server does is tested against real ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Script = Callable[["Connection"], Awaitable[None]]


class Connection:
    """One request as it arrived, and the way back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.target = ""
        self.headers: dict[str, str] = {}
        self.body = b""

    async def read_request(self) -> bool:
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        self.target = first.split(" ")[1]
        self.headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines) if v}
        self.body = await self.reader.readexactly(int(self.headers.get("content-length", "0")))
        return True

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def json(self, body: object, status: str = "200 OK", extra: str = "") -> None:
        raw = json.dumps(body).encode()
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{extra}content-length: {len(raw)}\r\n\r\n"
        await self.send(head.encode() + raw)

    async def start_stream(self) -> None:
        await self.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    async def event(self, data: object) -> None:
        raw = f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()
        await self.send(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")

    async def end_stream(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def closed_by_peer(self) -> None:
        """Waits until the other side has closed."""
        try:
            while await self.reader.read(1024):
                pass
        except ConnectionError:
            pass


class Peer:
    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Connection] = []
        self.script: Script = answer("hello")
        self.metrics: bytes | None = b""
        """What /metrics answers; None: the connection is cut."""


def word(text: str) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


def usage(prompt: int, completion: int) -> dict[str, object]:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"choices": [], "usage": counts}


def answer(text: str, prompt_tokens: int = 7) -> Script:
    """A good answer, streamed word by word where asked for."""

    async def script(connection: Connection) -> None:
        asked = json.loads(connection.body)
        words = text.split()
        if not asked.get("stream"):
            message = {"role": "assistant", "content": text}
            await connection.json(
                {
                    "id": "x", "object": "chat.completion", "created": 1, "model": asked["model"],
                    "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": len(words), "total_tokens": 0},
                }
            )  # fmt: skip
            return
        await connection.start_stream()
        for part in words:
            await connection.event(word(part))
        await connection.event(usage(prompt_tokens, len(words)))
        await connection.event("[DONE]")
        await connection.end_stream()

    return script


@asynccontextmanager
async def scripted_peer(script: Script | None = None) -> AsyncIterator[Peer]:
    """Listens on 127.0.0.1. `peer.script` may be changed at any time; `peer.requests` are those that came."""
    peer = Peer()
    if script is not None:
        peer.script = script
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while True:
                connection = Connection(reader, writer)
                if not await connection.read_request():
                    return
                if connection.target == "/metrics":
                    if peer.metrics is None:
                        return
                    await connection.send(
                        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(peer.metrics) + peer.metrics
                    )
                    continue
                peer.requests.append(connection)
                await peer.script(connection)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    peer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield peer
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
