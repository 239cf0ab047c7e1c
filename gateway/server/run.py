"""Running the gateway: sockets, the metrics page, the event loop, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import socket
import sys
from collections.abc import Callable
from http.server import HTTPServer

import msgspec
import uvloop

from gateway.metering.restore import restore_windows
from gateway.policy.schema import Policy
from gateway.server.core import Core
from gateway.server.gateway import Gateway
from gateway.server.request_log import Log, configure_logging


class Addresses(msgspec.Struct, frozen=True):
    """Where a running gateway can be found."""

    api: str
    metrics: str


class ListenError(OSError):
    """A port that cannot be had."""


def serve(policy: Policy, announce: Callable[[Addresses], None]) -> None:
    """Serves until SIGINT or SIGTERM: then answers under way get `server.drain_seconds` to end.

    `announce` is called once everything listens. Raises `ListenError`, `LedgerError` or `ValueError` (no aliases)."""
    kinds = {name: backend.cost.kind for name, backend in policy.backends.items() if backend.cost is not None}
    log = configure_logging(policy.log, sys.stderr, kinds)
    try:
        _serve(policy, announce, log)
    finally:
        log.close()


def _serve(policy: Policy, announce: Callable[[Addresses], None], log: Log) -> None:
    sys.setswitchinterval(SWITCH_SECONDS)
    _allow_many_connections()
    listener = _listen(policy.server.host, policy.server.port)
    core = Core(policy)
    core.request_log = log if policy.log.requests else None
    if core.ledger is not None:
        restore_windows(core.meter, core.ledger.path, core.settings, core.clock())
    metrics, metrics_port = _serve_metrics(core)
    host, port = listener.getsockname()[:2]
    found = Addresses(f"http://{host}:{port}/v1", _page(policy, metrics_port))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_told_to_end(core, listener, lambda: announce(found)))
    finally:
        metrics.shutdown()
        listener.close()


async def _until_told_to_end(core: Core, listener: socket.socket, started: Callable[[], None]) -> None:
    """The first SIGINT or SIGTERM begins the end; a second one cuts it short."""
    gateway, told, loop = Gateway(core), asyncio.Event(), asyncio.get_running_loop()

    def signalled() -> None:
        if told.is_set():
            gateway.end_at_once()
        gateway.drain()
        told.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled)
    await gateway.start(listener)
    _settle_memory()
    started()
    await told.wait()
    await gateway.end(core.policy.server.drain_seconds)


SWITCH_SECONDS = 0.001
"""How long another thread (the metrics page, the ledger, the log) may keep the interpreter while the event loop waits.
At Python's 5 ms, 25 scrapes a second made the loop 11 to 23 ms late in the median; at 1 ms, under 2 ms."""


def _allow_many_connections() -> None:
    """As many open files as this process may ask for. Most systems begin with 1,024, of which each client and each
    backend's connection takes one; where none is left, a backend that is well looks unreachable."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _settle_memory() -> None:
    """What the start made stays for good: a full collection that walks it stops every stream for 50 to 80 ms, and
    finds nothing. It is set aside, and full collections come less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def _page(policy: Policy, port: int) -> str:
    return f"http://{policy.server.metrics_host}:{port}/metrics"


def _serve_metrics(core: Core) -> tuple[HTTPServer, int]:
    server = core.policy.server
    try:
        return core.series.serve(server.metrics_host, server.metrics_port)
    except OSError as error:
        raise ListenError(
            f"port {server.metrics_port} of {server.metrics_host} cannot be had for the metrics ({error.strerror}): "
            "set server.metrics_port in the policy, or 0 for any free port"
        ) from error


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)  # only now is the port ours: two sockets may be bound to one that nobody listens on
    except OSError as error:
        listener.close()
        raise ListenError(
            f"port {port} of {host} cannot be had ({error.strerror}): set server.port in the policy, or 0 for any free "
            "port"
        ) from error
    listener.setblocking(False)
    return listener
