"""Every test here runs on both event loops: uvloop, which production uses, and asyncio's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from gateway.backends.http1 import Client


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    client = Client()
    yield client
    await client.aclose()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in left if "gateway" in repr(task.get_coro())], "the client left a task behind"
