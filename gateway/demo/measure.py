"""How fast is the box? Asked of it directly before the gateway starts, so that its predictions begin with figures of
this machine."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import openai

TOKENS_ALONE = 24
TOKENS_TOGETHER = 20
TOGETHER = 8


@dataclass(frozen=True, slots=True)
class BoxSpeed:
    """Output tokens/s: of one stream alone, and of `at_concurrency` together."""

    single_stream: float
    together: float
    at_concurrency: int


async def measure_box(base_url: str, model: str) -> BoxSpeed:
    """About eight seconds on two cores. One short answer first, which is not counted: it loads the adapter."""
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=120) as client:

        async def tokens_of(number: int, count: int) -> int:
            answer = await client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": f"Tell me about section {number}."}],
                max_tokens=count,
                temperature=0,
                extra_body={"ignore_eos": True},
            )
            return 0 if answer.usage is None else answer.usage.completion_tokens

        await tokens_of(0, 2)
        began = time.monotonic()
        alone = await tokens_of(1, TOKENS_ALONE)
        alone_seconds = time.monotonic() - began
        began = time.monotonic()
        together = sum(await asyncio.gather(*(tokens_of(2 + i, TOKENS_TOGETHER) for i in range(TOGETHER))))
        together_seconds = time.monotonic() - began
    single = alone / alone_seconds
    return BoxSpeed(single, max(single, together / together_seconds), TOGETHER)
