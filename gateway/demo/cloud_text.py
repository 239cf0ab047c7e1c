"""The sandbox's words: the local model writes the answers of the demo's questions once, and the sandbox plays them at
the cloud's pace. So its text is a real model's, and its speed does not hang on the box it is compared with."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

from gateway.demo.traffic import MAX_OUTPUT_TOKENS, questions
from gateway.sandbox.bedrock.settings import TextSettings
from gateway.sandbox.bedrock.text import Message, TextRequest
from gateway.sandbox.bedrock.upstream import OpenAIText

AT_ONCE = 8


def cache_file(home: Path, adapter: Path) -> Path:
    """One file for each adapter: another adapter writes other answers."""
    digest = hashlib.sha256()
    for weights in sorted(adapter.glob("*.safetensors")):
        digest.update(weights.read_bytes())
    return home / "demo" / f"cloud-text-{digest.hexdigest()[:12]}.json"


async def write_answers(settings: TextSettings, models: dict[str, str], say: Callable[[str], None]) -> int:
    """Asks the model of each alias every question that the cache does not answer yet. Returns how many there are."""
    source = OpenAIText(settings)
    asked = [(models[alias], text) for alias, listed in questions().items() for text in listed]
    free = asyncio.Semaphore(AT_ONCE)
    written = 0

    async def write(model: str, text: str) -> None:
        nonlocal written
        async with free:
            stream = await source.open(TextRequest(MAX_OUTPUT_TOKENS, (Message("user", text),), model=model))
            try:
                async for _ in stream.parts:
                    pass
            finally:
                await stream.aclose()
        written += 1
        say(f"{written} of {len(asked)} answers")

    try:
        await asyncio.gather(*(write(model, text) for model, text in asked))
    finally:
        await source.close()
    return written
