"""A client's side for replies: keeps what it is given, and can be full."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.backends.contract import Flow, Reply


class Collector:
    """`takes_chunks`: framed data may be given; it is kept without its framing, and counted."""

    def __init__(self, *, takes_chunks: bool = False, most_bytes: int | None = None) -> None:
        self.takes_chunks = takes_chunks
        self.pieces: list[bytes] = []
        self.framed = 0
        self.flow: Flow | None = None
        self.paused = 0
        self.on_write: Callable[[], None] = lambda: None
        self._most_bytes = most_bytes
        self._held_bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    def write(self, data: bytes, framed: bool = False) -> None:
        assert data
        if framed:
            assert self.takes_chunks
            self.framed += 1
            data = unframed(data)
        self.pieces.append(data)
        self._held_bytes += len(data)
        if self.full:
            self._room.clear()
            if self.flow is not None:
                self.paused += 1
                self.flow.pause()
        self.on_write()

    @property
    def full(self) -> bool:
        return self._most_bytes is not None and self._held_bytes > self._most_bytes

    @property
    def held_bytes(self) -> int:
        return self._held_bytes

    def empty(self) -> None:
        """The client has read everything."""
        self._held_bytes = 0
        self._room.set()
        if self.flow is not None:
            self.flow.resume()

    async def drained(self) -> None:
        await self._room.wait()

    def steered(self, flow: Flow | None) -> None:
        self.flow = flow

    @property
    def text(self) -> bytes:
        return b"".join(self.pieces)


def unframed(data: bytes) -> bytes:
    """The data of whole chunks, none of which is the last. Fails for anything else."""
    out = b""
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        assert length > 0
        assert rest[length : length + 2] == b"\r\n"
        out += rest[:length]
        data = rest[length + 2 :]
    return out


async def text_of(reply: Reply, sink: Collector | None = None) -> bytes:
    """All that a client gets of an answer."""
    sink = sink or Collector()
    await reply.relay(sink)
    return reply.first + sink.text
