"""The connections to one address: those at rest, how many there may be, and who waits for one."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from math import inf, isinf

from gateway.backends.http1.address import Address
from gateway.backends.http1.connection import Connection
from gateway.backends.http1.errors import Closed, ConnectFailed, ConnectTimeout, FirstByteTimeout, PoolTimeout
from gateway.backends.http1.limits import Limits
from gateway.backends.http1.opening import SocketAddress, open_connection, resolve


class Pool:
    """`take` costs no await; `open` is the slow way: make one, or wait in line for one.

    A slot is an open socket or the right to open one. There are never more than `limits.connections`; a freed one goes
    to the first in line, and newcomers never overtake.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, address: Address, limits: Limits, tls: ssl.SSLContext | None
    ) -> None:
        self.address = address
        self.loop = loop
        self._limits = limits
        self._tls = tls
        self._slots = 0
        self._open: set[Connection] = set()
        self._opening: set[asyncio.Timeout] = set()
        self._idle: list[Connection] = []
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False
        self._emptied: asyncio.Future[None] | None = None
        self._targets: list[SocketAddress] = []
        self._targets_until = -inf

    @property
    def open_connections(self) -> int:
        return len(self._open)

    @property
    def idle_connections(self) -> int:
        return len(self._idle)

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    def take(self) -> Connection | None:
        """The connection that rested least, if there is a good one. Bad ones are closed."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.quiet() and self.loop.time() - connection.idle_since < self._limits.idle_seconds:
                return connection
            connection.abort()
        return None

    async def open(self, connect_seconds: float, until: float) -> Connection:
        """A new connection, or the next one that is freed. `until`: on the loop's clock, the first-byte deadline.
        Raises `ConnectFailed`, `PoolTimeout`, `FirstByteTimeout`, `Closed`."""
        if self._closed:
            raise _closed()
        if self._slots < self._limits.connections:
            self._slots += 1
        else:
            freed = await self._wait_in_line(until)
            if freed is not None:
                return freed
        try:
            return await self._connect(connect_seconds, until)
        except BaseException:
            self._release_slot()
            raise

    async def _wait_in_line(self, until: float) -> Connection | None:
        """A freed connection, or None: the slot of one that is gone. If what comes died meanwhile, the turn is kept."""
        first = False
        while True:
            waiter: asyncio.Future[Connection | None] = self.loop.create_future()
            if first:
                self._waiters.appendleft(waiter)
            else:
                self._waiters.append(waiter)
            try:
                async with asyncio.timeout_at(None if isinf(until) else until):
                    connection = await waiter
            except BaseException as error:
                self._leave_line(waiter)
                if isinstance(error, TimeoutError):
                    limit = self._limits.connections
                    raise PoolTimeout(f"all {limit} connections stayed in use until the deadline") from None
                raise
            if connection is None or connection.quiet():
                return connection
            connection.abort()
            first = True

    def _leave_line(self, waiter: asyncio.Future[Connection | None]) -> None:
        if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            given = waiter.result()  # it came in the very moment of leaving: to the next in line
            if given is None:
                self._release_slot()
            elif given.closed:
                pass  # `lost` gives its slot on
            else:
                self.free(given)
        elif waiter in self._waiters:
            self._waiters.remove(waiter)

    async def _connect(self, connect_seconds: float, until: float) -> Connection:
        now = self.loop.time()
        due = min(now + connect_seconds, until)
        scope = asyncio.timeout_at(None if isinf(due) else due)
        self._opening.add(scope)
        try:
            async with scope:
                if now >= self._targets_until:
                    self._targets = await resolve(self.address)
                    self._targets_until = now + self._limits.resolved_seconds
                connection, target = await open_connection(
                    self._targets, due - now, self._tls, self.address.host, self._make
                )
        except TimeoutError:
            self._targets_until = -inf
            if self._closed:
                raise _closed() from None
            if due == until:
                raise FirstByteTimeout("no connection before the first-byte deadline", sent=False) from None
            raise ConnectTimeout(f"no connection within {connect_seconds:g} s") from None
        except BaseException:
            self._targets_until = -inf
            raise
        finally:
            self._opening.discard(scope)
        if target is not self._targets[0]:  # the next connection tries first what worked
            self._targets = [target, *(other for other in self._targets if other is not target)]
        if self._closed:
            connection.abort()
            raise _closed()
        if connection.closed:
            raise ConnectFailed("the peer closed the new connection at once")
        self._open.add(connection)
        return connection

    def _make(self, sock: socket.socket) -> Connection:
        return Connection(self.loop, self, self._limits, sock)

    # The connection's owner

    def free(self, connection: Connection) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if self._closed:
            connection.abort()
            return
        connection.idle_since = self.loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self.loop.call_later(self._limits.idle_seconds, self._sweep)

    def lost(self, connection: Connection) -> None:
        if connection not in self._open:
            return  # still being opened: `open` gives the slot back
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._release_slot()
        if self._emptied is not None and not self._open and not self._emptied.done():
            self._emptied.set_result(None)

    def _release_slot(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._slots -= 1

    def _sweep(self) -> None:
        """Closes what rested too long; those at the front rested longest."""
        self._sweeper = None
        before = self.loop.time() - self._limits.idle_seconds
        while self._idle and self._idle[0].idle_since <= before:
            self._idle.pop(0).abort()
        if self._idle:
            wait_seconds = self._idle[0].idle_since - before
            self._sweeper = self.loop.call_later(wait_seconds, self._sweep)

    async def aclose(self) -> None:
        """Whoever waits or reads gets `Closed`; returns when every socket is closed."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(_closed())
        for scope in self._opening:
            scope.reschedule(self.loop.time())
        self._idle.clear()
        if not self._open:
            return
        self._emptied = self.loop.create_future()
        for connection in list(self._open):
            connection.fail(Closed("the client was closed during the exchange", sent=True))
        await self._emptied


def _closed() -> Closed:
    return Closed("the client is closed", sent=False)
