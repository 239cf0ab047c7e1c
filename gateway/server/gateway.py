"""A gateway on an event loop: its parts, its application and its server, from start to a clean end."""

from __future__ import annotations

import asyncio
import logging
import socket

from gateway.server.app import Application
from gateway.server.core import Core
from gateway.server.http1 import Limits, Server

log = logging.getLogger(__name__)


class Gateway:
    """`start` with a listening socket; `end` once."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._application = Application(core)
        self._server = Server(self._application, Limits(body_bytes=core.policy.server.max_body_bytes))
        self._at_once = asyncio.Event()

    @property
    def open_connections(self) -> int:
        return self._server.open_connections

    async def start(self, listener: socket.socket) -> None:
        self._application.address = listener.getsockname()[:2]
        self._application.start()
        await self._server.start([listener])

    def drain(self) -> None:
        """Nothing new is taken: what still comes on open connections is told to go elsewhere."""
        self.core.draining = True

    def end_at_once(self) -> None:
        """Nobody waits for answers under way any more."""
        self._at_once.set()

    async def end(self, seconds: float) -> None:
        """Answers under way get `seconds` to end; then they are cut off, and told so."""
        self.drain()
        self.core.holds.end()
        draining = asyncio.create_task(self._server.drain(seconds), name="draining")
        hurry = asyncio.create_task(self._at_once.wait(), name="waiting for a second signal")
        await asyncio.wait((draining, hurry), return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        draining.cancel()
        await asyncio.gather(draining, hurry, return_exceptions=True)
        await self._server.aclose()
        await self._application.aclose()
