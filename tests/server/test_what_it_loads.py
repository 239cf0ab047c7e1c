"""The gateway's process holds what serving needs, and no second HTTP client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.gateway_process import GatewayProcess
from tests.scripted_peer import scripted_peer
from tests.server.fleets import one


@pytest.mark.skipif(not Path("/proc").exists(), reason="what a process has loaded is read from /proc")
async def test_a_gateway_that_has_served_and_scraped_has_not_loaded_aiohttp(
    start_gateway: Callable[..., GatewayProcess],
) -> None:
    async with scripted_peer() as peer, httpx.AsyncClient() as client:
        gateway = start_gateway(**one(peer.url, metrics_url=None))
        for stream in (False, True):
            body = {"model": "tuned", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
            answer = await client.post(gateway.url + "/chat/completions", json=body, headers=gateway.headers())
            assert answer.status_code == 200
        mapped = await asyncio.to_thread(Path(f"/proc/{gateway.process.pid}/maps").read_text)
        assert "httptools" in mapped
        assert not [name for name in ("aiohttp", "multidict", "yarl") if name in mapped]
