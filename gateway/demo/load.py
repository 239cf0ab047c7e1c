"""Sending the demo's traffic through the `openai` client, as an application would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import openai
from openai.types.chat import ChatCompletion

from gateway.demo.traffic import MAX_OUTPUT_TOKENS, Planned


@dataclass(slots=True)
class Answer:
    """What came of one request. `ttft_seconds`: streams only."""

    planned: Planned
    backend: str = ""
    reason: str = ""
    text: str = ""
    error: str | None = None
    ttft_seconds: float | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class Traffic:
    """The requests under way and the answers so far."""

    planned: Sequence[Planned]
    answers: list[Answer] = field(default_factory=list)
    sent: int = 0
    first_answer_at: float | None = None
    """Monotonic seconds."""

    async def send_all(self, base_url: str, api_key: str) -> None:
        """Each request at its time. Returns when all have been answered."""
        async with openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0, timeout=120) as client:
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                for planned in self.planned:
                    await asyncio.sleep(max(0.0, began + planned.at_seconds - time.monotonic()))
                    self.sent += 1
                    group.create_task(self._send(client, planned))

    async def _send(self, client: openai.AsyncOpenAI, planned: Planned) -> None:
        answer = Answer(planned)
        began = time.monotonic()
        try:
            await _ask(client, planned, answer, began)
        except openai.OpenAIError as error:
            answer.error = f"{type(error).__name__}: {error}"
        answer.seconds = time.monotonic() - began
        if self.first_answer_at is None and answer.error is None:
            self.first_answer_at = time.monotonic()
        self.answers.append(answer)


async def _ask(client: openai.AsyncOpenAI, planned: Planned, answer: Answer, began: float) -> None:
    question = planned.question
    response = await client.chat.completions.with_raw_response.create(
        model=question.alias,
        messages=[{"role": "user", "content": question.text}],
        max_tokens=MAX_OUTPUT_TOKENS,
        temperature=0,
        stream=planned.stream,
    )
    answer.backend = response.headers.get("x-crossover-backend", "")
    answer.reason = response.headers.get("x-crossover-reason", "")
    parsed = response.parse()
    if isinstance(parsed, ChatCompletion):
        answer.text = parsed.choices[0].message.content or ""
        return
    async for chunk in parsed:
        if answer.ttft_seconds is None:
            answer.ttft_seconds = time.monotonic() - began
        if chunk.choices:
            answer.text += chunk.choices[0].delta.content or ""
