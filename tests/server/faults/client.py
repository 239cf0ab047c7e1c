"""A plain HTTP/1.1 client on a bare connection, which says exactly what it saw, and can behave badly."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.gateway_process import API_KEY


@dataclass
class Seen:
    status: int = 0
    """0: nothing came."""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    """The answer came to its end as HTTP has it."""

    @property
    def operation(self) -> str:
        return self.headers.get("x-crossover-decision", "")

    @property
    def words(self) -> int:
        """Events with content."""
        return self.body.count(b'"delta"')

    @property
    def done(self) -> bool:
        return self.body.endswith(b"data: [DONE]\n\n")

    @property
    def error(self) -> dict[str, Any] | None:
        """Of an answer that is one, or the event that ends a stream."""
        last = self.body.rpartition(b"data: ")[2] if self.status == 200 else self.body
        if b'"error"' not in last:
            return None
        error: dict[str, Any] = json.loads(last)["error"]
        return error


def request(body: object, headers: str = "", path: str = "/v1/chat/completions", key: str = API_KEY) -> bytes:
    """`headers`: whole lines, each with its CRLF."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{headers}content-length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw


class Client:
    """One connection at a time, opened when it is needed and kept while both sides keep it."""

    def __init__(self, root: str) -> None:
        host, port = root.removeprefix("http://").split(":")
        self._address = host, int(port)
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(*self._address, limit=2**20)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None

    async def send(self, data: bytes) -> None:
        if self.writer is None:
            await self.connect()
        assert self.writer is not None
        self.writer.write(data)
        await self.writer.drain()

    async def ask(self, data: bytes, leave_after_words: int | None = None) -> Seen:
        """Sends, and reads the answer; with `leave_after_words` closes once so many events with content have come."""
        await self.send(data)
        return await self.read(leave_after_words)

    async def read(self, leave_after_words: int | None = None) -> Seen:
        """One answer. The connection is closed where the answer says so, or breaks off."""
        seen = Seen()
        reader = self.reader
        assert reader is not None
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            seen.status = int(head[0].split(" ")[1])
            seen.headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:]) if k}
            if seen.headers.get("transfer-encoding") == "chunked":
                while size := int(await reader.readuntil(b"\r\n"), 16):
                    seen.body += (await reader.readexactly(size + 2))[:-2]
                    if leave_after_words is not None and seen.words >= leave_after_words:
                        self.close()
                        return seen
                await reader.readexactly(2)
            elif seen.status >= 200:
                seen.body = await reader.readexactly(int(seen.headers.get("content-length", "0")))
            seen.ended = True
        except (asyncio.IncompleteReadError, ConnectionError):
            self.close()
        if seen.headers.get("connection") == "close":
            self.close()
        return seen
