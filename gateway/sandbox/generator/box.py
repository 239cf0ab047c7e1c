"""The box: slots, the line before them, the common step of all streams, and what the metrics page counts."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.sandbox.generator.settings import GeneratorSettings


class Box:
    """A continuous batch as vLLM keeps one: every running stream gets one token at the end of each step.

    Everything runs on one event loop. A waiter that is cancelled leaves at once, in the line or in the batch.
    """

    def __init__(self, settings: GeneratorSettings) -> None:
        self.settings = settings
        self.running = 0
        self.waiting = 0
        self.kv_tokens = 0
        self.prompt_tokens = 0
        """Ever read."""
        self.generation_tokens = 0
        """Ever made."""
        self.finished = {"stop": 0, "length": 0, "abort": 0}
        self._slots = asyncio.Semaphore(settings.max_streams)
        self._reader = asyncio.Lock()
        self._step: deque[asyncio.Future[None]] = deque()
        """Who gets a token when the step under way ends. Empty: no step is under way."""
        self._step_ends = 0.0

    @property
    def kv_cache_usage(self) -> float:
        return min(1.0, self.kv_tokens / self.settings.kv_cache_tokens)

    @asynccontextmanager
    async def stream(self, prompt_tokens: int) -> AsyncIterator[Stream]:
        """A place in the batch, waited for in the order of arrival, with the prompt read. Left without a reason of
        `finished`, it counts as aborted."""
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        stream = Stream(self, prompt_tokens)
        self.kv_tokens += stream.tokens
        try:
            await self._read(prompt_tokens)
            yield stream
        finally:
            self.finished[stream.finished] += 1
            self.kv_tokens -= stream.tokens
            self.running -= 1
            self._slots.release()

    async def _read(self, prompt_tokens: int) -> None:
        settings = self.settings
        if settings.prompt_tokens_per_second:
            async with self._reader:
                await asyncio.sleep(prompt_tokens / settings.prompt_tokens_per_second)
        if settings.first_token_seconds:
            await asyncio.sleep(settings.first_token_seconds)
        self.prompt_tokens += prompt_tokens

    async def end_of_step(self) -> None:
        """Until the step under way ends; one begins if none is."""
        loop = asyncio.get_running_loop()
        if not self._step:
            now = loop.time()
            seconds = self.settings.step_seconds(self.running)
            # From the end of the last step where streams go straight on: the pace does not drift with timer delays.
            begins = self._step_ends if now - self._step_ends < seconds else now
            self._step_ends = begins + seconds
            loop.call_at(self._step_ends, self._end_step)
        token = loop.create_future()
        self._step.append(token)
        await token

    def _end_step(self) -> None:
        step, self._step = self._step, deque()
        for token in step:
            if not token.done():
                token.set_result(None)


class Stream:
    """One answer's place in the batch."""

    def __init__(self, box: Box, prompt_tokens: int) -> None:
        self._box = box
        self._first = True
        self.tokens = prompt_tokens
        """Held in the KV cache."""
        self.finished = "abort"
        """Set to `stop` or `length` when the answer is whole."""

    async def token(self) -> None:
        """Waits for the next token. The first comes out of reading the prompt; at pace 0 each gives way to others."""
        box = self._box
        if self._first:
            self._first = False
        elif box.settings.tokens_per_second:
            await box.end_of_step()
        else:
            await asyncio.sleep(0)
        self.tokens += 1
        box.kv_tokens += 1
        box.generation_tokens += 1
