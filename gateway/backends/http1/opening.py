"""From an address to an open connection: name, TCP, TLS; each failure an error of its own."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from gateway.backends.http1.address import Address
from gateway.backends.http1.connection import Connection
from gateway.backends.http1.errors import ConnectFailed, NameNotResolved, TLSFailed

SocketAddress = tuple[socket.AddressFamily, Any]
_KEEPALIVE_PROBE_SECONDS = 60
"""A backend may think for minutes without a byte; probes keep NAT and load balancers from forgetting the connection."""


def context_for(address: Address) -> ssl.SSLContext | None:
    """The one that verifies, shared by all who ask; None: the address has no TLS. To be called off the hot path."""
    return _shared_context() if address.tls else None


@functools.cache
def _shared_context() -> ssl.SSLContext:
    return verifying_context()


def verifying_context() -> ssl.SSLContext:
    """The machine's certificate authorities, the host's name checked, HTTP/1.1 only."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def resolve(address: Address) -> list[SocketAddress]:
    """All socket addresses of a host in the resolver's order. Raises `NameNotResolved`."""
    loop = asyncio.get_running_loop()
    try:
        infos = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise NameNotResolved("the host's name cannot be resolved") from None
    return [(family, socket_address) for family, _, _, _, socket_address in infos]


async def open_connection(
    targets: Sequence[SocketAddress],
    seconds: float,
    tls: ssl.SSLContext | None,
    server_name: str,
    make: Callable[[socket.socket], Connection],
) -> tuple[Connection, SocketAddress]:
    """The first of `targets` that answers, each given an equal share of the time left, so that one which swallows
    packets does not use up what the next needs. Raises `ConnectFailed`, `TLSFailed`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    for left, target in zip(range(len(targets), 0, -1), targets, strict=True):
        try:
            async with asyncio.timeout((until - loop.time()) / left):
                sock = await _open_socket(target)
        except OSError as error:  # TimeoutError too
            if left == 1:
                if isinstance(error, TimeoutError) and error.errno is None:
                    raise
                raise ConnectFailed(os.strerror(error.errno) if error.errno else "no connection") from None
            continue
        return await _attach(loop, sock, tls, server_name, make), target
    raise NameNotResolved("the host's name has no address")


async def _open_socket(target: SocketAddress) -> socket.socket:
    family, socket_address = target
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_PROBE_SECONDS)
        await asyncio.get_running_loop().sock_connect(sock, socket_address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _attach(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    tls: ssl.SSLContext | None,
    server_name: str,
    make: Callable[[socket.socket], Connection],
) -> Connection:
    """Hands the socket to the loop; with TLS, shakes hands."""
    connection = make(sock)
    try:
        await loop.create_connection(
            lambda: connection, sock=sock, ssl=tls, server_hostname=server_name if tls is not None else None
        )
    except BaseException as error:
        connection.abort()  # the socket is the loop's by now, and closed by it
        if isinstance(error, ssl.SSLCertVerificationError):
            raise TLSFailed(f"the peer's certificate is not accepted: {error.verify_message}") from None
        if isinstance(error, ssl.SSLError):
            raise TLSFailed(f"the TLS handshake failed: {error.reason or 'broken off'}") from None
        if isinstance(error, OSError) and not isinstance(error, TimeoutError):
            raise TLSFailed("the peer closed the connection during the TLS handshake") from None
        raise
    return connection
