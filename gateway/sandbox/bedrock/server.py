"""Running the sandbox: on a port of one's choice, in this loop, or in a thread for synchronous clients."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.sandbox.bedrock.app import BedrockSandbox
from gateway.sandbox.bedrock.exchange import TRANSPORT
from gateway.sandbox.bedrock.settings import SandboxSettings
from gateway.sandbox.bedrock.state import Sandbox

START_SECONDS = 15.0
STOP_SECONDS = 1
KEEP_ALIVE_SECONDS = 300
"""Longer than any client keeps an idle connection, so that none is closed under a request that is being sent."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running sandbox. `sandbox` is its state, for callers in the same loop; others ask `/_sandbox`."""

    host: str
    port: int
    sandbox: Sandbox

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


class _Server(uvicorn.Server):
    """Leaves the process's signal handlers alone: whoever started the sandbox decides when it ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _protocol(sandbox: Sandbox) -> type[HttpToolsProtocol]:
    """uvicorn's protocol, counting open connections and letting the `close` fault reach the socket."""

    class SandboxProtocol(HttpToolsProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            sandbox.open_connections += 1
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            sandbox.open_connections -= 1
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            extensions: dict[str, Any] = self.scope.setdefault("extensions", {})
            extensions[TRANSPORT] = self.transport

    return SandboxProtocol


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; OSError with the address in it when the port is taken."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port} ({error.strerror}): choose another port") from None
    return sock


@contextlib.asynccontextmanager
async def serve(settings: SandboxSettings, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Served]:
    """Run the sandbox in this loop; port 0 takes a free one, which the yielded object tells."""
    app = BedrockSandbox(settings)
    sock = _listen(host, port)
    config = uvicorn.Config(
        app,
        http=_protocol(app.sandbox),
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
        yield Served(host, sock.getsockname()[1], app.sandbox)
    finally:
        server.should_exit = True
        await running
        sock.close()


@contextlib.contextmanager
def serve_in_thread(settings: SandboxSettings, host: str = "127.0.0.1", port: int = 0) -> Iterator[Served]:
    """The same in a thread with a loop of its own, for synchronous clients such as boto3."""
    ready: list[Served] = []
    failed: list[BaseException] = []
    up, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with serve(settings, host, port) as served:
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

    thread = threading.Thread(target=work, name="bedrock-sandbox", daemon=True)
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
