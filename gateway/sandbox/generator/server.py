"""Running the generator box: in this loop, or in a thread for blocking clients."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from gateway.sandbox.generator.app import GeneratorServer
from gateway.sandbox.generator.box import Box
from gateway.sandbox.generator.settings import GeneratorSettings
from gateway.sandbox.hosting import hosted, in_thread


@dataclass(frozen=True, slots=True)
class Served:
    """A running box. `box` is its state, for callers in the same loop; others ask `/metrics`."""

    host: str
    port: int
    box: Box

    @property
    def url(self) -> str:
        """Without a path; `/metrics` and `/health` are here."""
        return f"http://{self.host}:{self.port}"

    @property
    def base_url(self) -> str:
        """For OpenAI's clients, and a policy's `base_url`."""
        return f"{self.url}/v1"


@contextlib.asynccontextmanager
async def serve(settings: GeneratorSettings, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Served]:
    """Run the box in this loop; port 0 takes a free one, which the yielded object tells."""
    app = GeneratorServer(settings)
    async with hosted(app, host, port) as taken:
        yield Served(host, taken, app.box)


@contextlib.contextmanager
def serve_in_thread(settings: GeneratorSettings, host: str = "127.0.0.1", port: int = 0) -> Iterator[Served]:
    """The same in a thread with a loop of its own."""
    with in_thread(lambda: serve(settings, host, port), "generator-sandbox") as served:
        yield served
