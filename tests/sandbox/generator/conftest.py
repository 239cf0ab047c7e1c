"""Real boxes on free ports, and OpenAI's own client, with its retries off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from gateway.sandbox.generator.server import Served, serve
from gateway.sandbox.generator.settings import GeneratorSettings


class Running:
    """A box, OpenAI's client, and a plain one for what that client would not send."""

    def __init__(self, served: Served, stack: AsyncExitStack) -> None:
        self.served = served
        self.box = served.box
        self.client = AsyncOpenAI(base_url=served.base_url, api_key="none", max_retries=0, timeout=20)
        self.http = httpx.AsyncClient(base_url=served.url, timeout=20, trust_env=False)
        stack.push_async_callback(self.client.close)
        stack.push_async_callback(self.http.aclose)

    async def chat(self, text: str = "hi", **more: Any) -> Any:
        asked = {"model": "tuned", "messages": [{"role": "user", "content": text}], **more}
        return await self.client.chat.completions.create(**asked)


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Any]]:
    """Start a box: keyword arguments as `GeneratorSettings` takes them."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Running:
            served = await stack.enter_async_context(serve(GeneratorSettings(**settings)))
            return Running(served, stack)

        yield start
