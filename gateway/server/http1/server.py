"""The server: its connections, who rests, who takes nothing, and a clean end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from itertools import takewhile
from typing import Any

from gateway.server.http1.connection import Connection
from gateway.server.http1.exchange import Exchange
from gateway.server.http1.limits import Limits

log = logging.getLogger(__name__)

Handler = Callable[[Exchange], Coroutine[Any, Any, None]]
SWEEP_SECONDS = 1.0


class Server:
    """Give it listening sockets with `start`; `drain` and then `aclose` end it."""

    def __init__(self, handler: Handler, limits: Limits) -> None:
        """`handler` answers one exchange. It is cancelled when the client leaves, or the server must end."""
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()
        self.limits = limits
        self.ending = False
        """No further request is taken on any connection."""
        self._listeners: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._resting: dict[Connection, float] = {}
        """Since when, the longest first."""
        self._stalled: dict[Connection, float] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty: asyncio.Future[None] | None = None

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    async def start(self, sockets: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        for listener in sockets:
            self._listeners.append(
                await loop.create_server(lambda: Connection(self, loop), sock=listener, backlog=1024)
            )
        self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep)

    async def drain(self, seconds: float) -> bool:
        """Takes no new connection and no further request; answers under way get `seconds` to end. False: some did
        not."""
        self.ending = True
        for listener in self._listeners:
            listener.close()
        for connection in list(self._connections):
            connection.end_if_idle()
        if not self._connections:
            return True
        self._empty = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                await self._empty
        except TimeoutError:
            return False
        finally:
            self._empty = None
        return True

    async def aclose(self) -> None:
        """Ends every answer under way, and every connection at once."""
        self.ending = True
        for listener in self._listeners:
            listener.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what they wrote last goes out
        for connection in list(self._connections):
            connection.abort()

    # The connections' owner

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        if self.ending:
            connection.abort()
        else:
            self.resting(connection)

    def resting(self, connection: Connection) -> None:
        self._resting[connection] = asyncio.get_running_loop().time()

    def busy(self, connection: Connection) -> None:
        self._resting.pop(connection, None)

    def stalled(self, connection: Connection, stalled: bool) -> None:
        self._stalled.pop(connection, None)
        if stalled:
            self._stalled[connection] = asyncio.get_running_loop().time()

    def run(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
        task = loop.create_task(self._handler(exchange))
        self._tasks.add(task)
        return task

    def ran(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a request failed inside the gateway", exc_info=error)

    def lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._resting.pop(connection, None)
        self._stalled.pop(connection, None)
        if not self._connections and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep)
        for connection in _due(self._resting, now - self.limits.idle_seconds):
            connection.abort()
        for connection in _due(self._stalled, now - self.limits.stalled_seconds):
            if connection.takes():
                self.stalled(connection, True)  # slow, but alive
            else:
                connection.abort()


def _due(waiting: dict[Connection, float], latest: float) -> list[Connection]:
    """Those that wait since `latest` or longer: they stand first."""
    return list(takewhile(lambda connection: waiting[connection] <= latest, waiting))
