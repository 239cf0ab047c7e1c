"""The client: one pool of connections for each address, and the one place that decides whether to send again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

from gateway.backends.http1.address import Address
from gateway.backends.http1.connection import Piece
from gateway.backends.http1.deadlines import NONE, Deadlines
from gateway.backends.http1.errors import Closed, Disconnected, HTTP1Error
from gateway.backends.http1.limits import Limits
from gateway.backends.http1.opening import verifying_context
from gateway.backends.http1.pool import Pool
from gateway.backends.http1.request import Headers, request_head
from gateway.backends.http1.response import Response

_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})


class Client:
    """HTTP/1.1 to any number of addresses. Lives as long as its event loop's work; `aclose` ends its connections.

    When a request is sent again. A connection at rest that the peer has closed is never written to: the kernel is
    asked before each reuse, and another connection is taken. If it breaks after the request was written and before one
    byte of an answer, the peer may or may not have served it, and TCP cannot tell (an acknowledged byte need not have
    been read; a byte that was read need not be acknowledged yet). So a GET, HEAD or OPTIONS goes out once more, and
    anything else raises `Disconnected`: the caller, who knows what a second answer costs, decides. Nothing is sent
    again on a connection's first exchange, nor after a byte of an answer, nor a third time.
    """

    def __init__(self, *, limits: Limits | None = None, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: for all https addresses; left out, one that verifies is made at the first of them (it reads the
        machine's authorities, some tens of milliseconds: give one where that must not happen on the loop)."""
        self._limits = limits or Limits()
        self._tls = tls
        self._pools: dict[Address, Pool] = {}
        self._closed = False

    def pool(self, address: Address) -> Pool:
        """The address's pool, for its counts."""
        pool = self._pools.get(address)
        return self._new_pool(address) if pool is None else pool

    async def send(
        self,
        method: bytes,
        address: Address,
        raw_path: bytes,
        headers: Headers = (),
        body: bytes = b"",
        deadlines: Deadlines = NONE,
    ) -> Response:
        """Sends one request and waits for the head of its answer (1xx are skipped).

        `raw_path` goes out byte for byte. Raises `InvalidRequest` before anything is done, else `HTTP1Error`.
        Cancelled, it closes the connection it used. The caller reads the response to its end or closes it.
        """
        head = request_head(method, address.host_header, raw_path, headers, len(body))
        now = (self._pools.get(address) or self._new_pool(address)).loop.time()
        total_due = now + deadlines.total_seconds
        return await self.exchange(
            address, head, body, deadlines.connect_seconds, min(now + deadlines.first_byte_seconds, total_due),
            deadlines.between_chunks_seconds, total_due, head_only=method == b"HEAD", safe=method in _SAFE,
        )  # fmt: skip

    async def exchange(
        self,
        address: Address,
        head: bytes,
        body: bytes | Sequence[Piece],
        connect_seconds: float,
        first_due: float,
        between_seconds: float,
        total_due: float,
        *,
        head_only: bool = False,
        safe: bool = False,
    ) -> Response:
        """As `send`, for a head that is made already (see `HeadTemplate`). `..._due` are times of the loop's clock.
        `safe`: it may go out a second time, as described above."""
        pool = self._pools.get(address) or self._new_pool(address)
        connection = pool.take()
        again = False
        while True:
            if connection is None:
                connection = await pool.open(connect_seconds, first_due)
            response = Response(pool.loop, first_due, between_seconds, total_due, head_only=head_only)
            connection.start(response, head, body)
            while not response.status:
                if response.error is not None:
                    break
                await response.wait()
            else:
                return response
            if again or not safe or not _stale(response.error):
                raise response.error
            again, connection = True, None

    def _new_pool(self, address: Address) -> Pool:
        if self._closed:
            raise Closed("the client is closed", sent=False)
        if address.tls and self._tls is None:
            self._tls = verifying_context()
        pool = Pool(asyncio.get_running_loop(), address, self._limits, self._tls if address.tls else None)
        self._pools[address] = pool
        return pool

    async def aclose(self) -> None:
        """Whoever still waits or reads gets `Closed`. Returns when every socket is closed; may be called again."""
        self._closed = True
        pools = list(self._pools.values())
        self._pools.clear()
        for pool in pools:
            await pool.aclose()


def _stale(error: HTTP1Error) -> bool:
    """The connection had rested, and broke without an answer."""
    return isinstance(error, Disconnected) and error.reused and not error.received
