"""Running the sandbox: on a port of one's choice, in this loop, or in a thread for synchronous clients."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.sandbox.bedrock.app import BedrockSandbox
from gateway.sandbox.bedrock.exchange import TRANSPORT
from gateway.sandbox.bedrock.settings import SandboxSettings
from gateway.sandbox.bedrock.state import Sandbox
from gateway.sandbox.hosting import hosted, in_thread


@dataclass(frozen=True, slots=True)
class Served:
    """A running sandbox. `sandbox` is its state, for callers in the same loop; others ask `/_sandbox`."""

    host: str
    port: int
    sandbox: Sandbox

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


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


@contextlib.asynccontextmanager
async def serve(settings: SandboxSettings, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Served]:
    """Run the sandbox in this loop; port 0 takes a free one, which the yielded object tells."""
    app = BedrockSandbox(settings)
    async with hosted(app, host, port, _protocol(app.sandbox)) as taken:
        yield Served(host, taken, app.sandbox)


@contextlib.contextmanager
def serve_in_thread(settings: SandboxSettings, host: str = "127.0.0.1", port: int = 0) -> Iterator[Served]:
    """The same in a thread with a loop of its own, for synchronous clients such as boto3."""
    with in_thread(lambda: serve(settings, host, port), "bedrock-sandbox") as served:
        yield served
