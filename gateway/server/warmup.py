"""Starting a copy of an imported model ahead of the need: one call of one token, of the gateway's own.

Apart from every request: it fails none, and is booked as what it is, an attempt under an id that begins with `warm-`.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from gateway.backends.contract import Reply, UpstreamRequest
from gateway.backends.errors import UpstreamError
from gateway.policy.schema import ServedBy
from gateway.server.attempt import AttemptRun
from gateway.server.core import Core
from gateway.server.ids import new_id
from gateway.server.request import parse_body, prompt_bytes

log = logging.getLogger(__name__)

PROMPT = "Hi"
PROMPT_TOKENS = 1


class Warmups:
    """At most one under way for each backend."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def start(self, backend: str, alias: str) -> bool:
        """Sends the call in a task of its own. False: one is under way, or the backend cannot be asked now."""
        core = self._core
        tracker = core.fleet.trackers[backend]
        if core.draining or backend in self._under_way or not tracker.askable(core.clock()):
            return False
        route = next((r for r in core.router.aliases[alias].routes if r.backend == backend), None)
        if route is None:
            log.error("the router asked to warm %s, which does not serve %s: nothing is sent", backend, alias)
            return False
        core.series.warmup(backend)
        task = asyncio.create_task(self._warm(backend, alias, route.target), name=f"warming {backend}")
        self._under_way[backend] = task
        task.add_done_callback(lambda _: self._under_way.pop(backend, None))
        return True

    async def aclose(self) -> None:
        """Ends those under way; they are booked as cancelled."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _warm(self, backend: str, alias: str, target: ServedBy) -> None:
        core = self._core
        body = msgspec.json.encode(
            {"model": alias, "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 1}
        )  # fmt: skip
        fields = parse_body(body).fields
        operation_id = f"warm-{new_id()}"
        request = UpstreamRequest(
            operation="chat",
            target=target,
            alias=alias,
            body=body,
            fields=fields,
            stream=False,
            include_usage=False,
            first_byte_deadline=core.clock() + core.settings[backend].timeouts.first_byte_seconds,
            request_id=operation_id,
            prompt_bytes=prompt_bytes(fields),
        )
        try:
            await AttemptRun(core, operation_id, 1, backend, request, PROMPT_TOKENS).run(_read)
        except UpstreamError as error:
            log.warning("warming %s: %s", backend, error.message)
        except Exception:
            log.exception("warming %s failed inside the gateway", backend)


async def _read(_reply: Reply) -> None:
    """A whole answer: it is all there."""
