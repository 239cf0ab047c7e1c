"""Running a sandbox's ASGI application: on any port, in this loop, or in a thread for blocking clients."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

START_SECONDS = 15.0
STOP_SECONDS = 1
KEEP_ALIVE_SECONDS = 300
"""Longer than any client keeps an idle connection, so that none is closed under a request that is being sent."""

T = TypeVar("T")


class _Server(uvicorn.Server):
    """Leaves the process's signal handlers alone: whoever started the sandbox decides when it ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket; OSError with the address in it when the port is taken."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sends at once only on these
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        # Without its number: str() of an OSError with one begins with "[Errno 98]".
        raise OSError(f"cannot listen on {host}:{port} ({error.strerror}): choose another port") from None
    return sock


def free_port(preferred: int | None = None) -> int:
    """`preferred` when nobody has it, else one for a server that is started soon.

    From below the range that outgoing connections take theirs from: one of those could come in between."""
    dice = random.SystemRandom()
    for port in (preferred, *(dice.randint(20_000, 32_000) for _ in range(100))):
        if port is None:
            continue
        try:
            _listen("127.0.0.1", port).close()
        except OSError:
            continue
        return port
    raise OSError("no free port between 20000 and 32000 on 127.0.0.1 in a hundred tries")


@contextlib.asynccontextmanager
async def hosted(
    app: Any, host: str = "127.0.0.1", port: int = 0, protocol: type[HttpToolsProtocol] = HttpToolsProtocol
) -> AsyncIterator[int]:
    """Serve `app` (ASGI, with lifespan) in this loop and yield its port: 0 takes a free one. OSError: it is taken."""
    sock = _listen(host, port)
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        async with asyncio.timeout(START_SECONDS):
            while not server.started:
                if running.done():
                    running.result()
                    raise RuntimeError("the sandbox ended before it had started")
                await asyncio.sleep(0.005)
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        await running
        sock.close()


@contextlib.contextmanager
def in_thread(start: Callable[[], AbstractAsyncContextManager[T]], name: str) -> Iterator[T]:
    """What `start` yields, run by a loop of its own in a thread, for blocking clients such as boto3."""
    ready: list[T] = []
    failed: list[BaseException] = []
    up, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with start() as served:
            ready.append(served)
            up.set()
            await stop.wait()

    def work() -> None:
        try:
            loop.run_until_complete(run())
        except BaseException as error:
            failed.append(error)
        finally:
            loop.close()
            up.set()

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    up.wait(START_SECONDS)
    if not ready:
        raise failed[0] if failed else TimeoutError(f"the sandbox did not start within {START_SECONDS} s")
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
    if failed:
        raise failed[0]
