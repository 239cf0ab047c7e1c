"""An ASGI connection as a reply's sink: what is written waits in a queue for `send`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from gateway.backends.contract import Flow
from gateway.server.request import Send

MOST_QUEUED_BYTES = 64 * 1024


class AsgiSink:
    def __init__(self, send: Send) -> None:
        self._send = send
        self._queue = bytearray()
        self._flow: Flow | None = None
        self._written = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.takes_chunks = False

    def write(self, data: bytes, framed: bool = False) -> None:  # noqa: ARG002
        self._queue += data
        self._written.set()
        if self._flow is not None and self.full:
            self._room.clear()
            self._flow.pause()

    @property
    def full(self) -> bool:
        return len(self._queue) > MOST_QUEUED_BYTES

    async def drained(self) -> None:
        await self._room.wait()

    def steered(self, flow: Flow | None) -> None:
        self._flow = flow

    async def pump(self, relaying: Awaitable[None]) -> None:
        """Sends what is written until `relaying` ends and nothing is left. Raises what it raises."""
        task = asyncio.ensure_future(relaying)
        task.add_done_callback(lambda _: self._written.set())
        try:
            while not task.done() or self._queue:
                await self._written.wait()
                self._written.clear()
                while self._queue:
                    data = bytes(self._queue)
                    self._queue.clear()
                    await self._send({"type": "http.response.body", "body": data, "more_body": True})
                self._room.set()
                if self._flow is not None:
                    self._flow.resume()
            await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))
