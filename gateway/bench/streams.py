"""Streams for measuring: one request to an OpenAI-compatible server, timed chunk by chunk."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import aiohttp
import msgspec

MOST_ERROR_BYTES = 300
WORDS = ("river", "stone", "amber", "cloud", "window", "paper", "north", "silver", "garden", "letter", "harbor")


class BenchError(Exception):
    """The server cannot be measured: what it said, and what to change."""


@dataclass(frozen=True, slots=True)
class Timed:
    """One stream. Moments are seconds on the monotonic clock; `tokens` by the server's own count where it gave one,
    else by chunks; `prompt_tokens` None where it gave none. `cut`: it was ended before its end."""

    sent: float
    first: float
    last: float
    tokens: int
    prompt_tokens: int | None
    cut: bool = False

    @property
    def ttft_seconds(self) -> float:
        return self.first - self.sent

    @property
    def seconds_per_token(self) -> float | None:
        return (self.last - self.first) / (self.tokens - 1) if self.tokens > 1 else None


def prompt_of(tokens: int) -> str:
    """Text of about so many tokens (short English words count about one). Its start differs from call to call, so that
    no cache of prompts knows it."""
    salt = secrets.token_hex(4)
    return " ".join([salt, *(WORDS[number % len(WORDS)] for number in range(max(0, tokens - 12)))])


class Target:
    """One model of one server: `url` up to and including /v1. An async context."""

    def __init__(self, url: str, model: str, api_key: str | None = None, timeout_seconds: float = 120.0) -> None:
        self.url = url.rstrip("/")
        self.model = model
        self._headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        self._timeout = timeout_seconds
        self._session: aiohttp.ClientSession | None = None
        self.ignores_eos = True
        """vLLM's `ignore_eos` makes every answer as long as asked. Some servers refuse the field: then answers may end
        early."""

    async def __aenter__(self) -> Target:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._timeout), trust_env=False,
            connector=aiohttp.TCPConnector(limit=0),
        )  # fmt: skip
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def warm_up(self) -> None:
        """One short answer that is not counted: it loads an adapter, opens a connection, and finds out what the server
        takes. Raises `BenchError`."""
        try:
            await self.stream("Hi", 2)
        except BenchError as error:
            if "ignore_eos" not in str(error):
                raise
            self.ignores_eos = False
            await self.stream("Hi", 2)

    async def stream(self, prompt: str, output_tokens: int, until: float | None = None) -> Timed:
        """One streamed answer, read to its end, or until that moment and its second text. Raises `BenchError`."""
        assert self._session is not None
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": output_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.ignores_eos:
            body["ignore_eos"] = True
        sent = time.monotonic()
        try:
            async with self._session.post(f"{self.url}/chat/completions", json=body, headers=self._headers) as reply:
                if reply.status != 200:
                    said = (await reply.content.read(MOST_ERROR_BYTES)).decode("utf-8", "replace")
                    raise BenchError(f"{self.url} answered {reply.status}: {said}")
                return await _read(reply.content, sent, until)
        except TimeoutError:
            raise BenchError(
                f"{self.url} did not end an answer of {output_tokens} tokens in {self._timeout:g} s: ask for fewer "
                "tokens (--output-tokens), or wait longer (--timeout)"
            ) from None
        except aiohttp.ClientError as error:
            raise BenchError(f"{self.url} could not be asked: {error}") from error


async def _read(content: aiohttp.StreamReader, sent: float, until: float | None) -> Timed:
    first = last = None
    chunks = 0
    tokens = prompt_tokens = None
    cut = False
    async for line in content:
        if not line.startswith(b"data:"):
            continue
        now = time.monotonic()
        data = line[5:].strip()
        if data == b"[DONE]":
            break
        chunk = _decoded(data)
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            tokens, prompt_tokens = usage.get("completion_tokens"), usage.get("prompt_tokens")
        if _has_text(chunk):
            first = now if first is None else first
            last = now
            chunks += 1
        if until is not None and now >= until and chunks > 1:
            cut = True
            break
    if first is None or last is None:
        raise BenchError("the answer ended without text: nothing can be timed")
    return Timed(sent, first, last, chunks if cut or not tokens else int(tokens), prompt_tokens, cut)


def _decoded(data: bytes) -> Mapping[str, Any]:
    try:
        chunk = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise BenchError(f"a chunk of the stream is not JSON: {data[:80]!r}") from error
    if not isinstance(chunk, dict):
        raise BenchError(f"a chunk of the stream is not an object: {data[:80]!r}")
    if "error" in chunk:
        raise BenchError(f"the stream ended with an error: {str(chunk['error'])[:MOST_ERROR_BYTES]}")
    return chunk


def _has_text(chunk: Mapping[str, Any]) -> bool:
    for choice in chunk.get("choices") or ():
        delta = choice.get("delta") or {}
        if delta.get("content") or delta.get("reasoning_content") or delta.get("reasoning") or delta.get("tool_calls"):
            return True
    return False


async def together(target: Target, prompts: list[str], output_tokens: int, seconds: float) -> list[Timed]:
    """All at once, each cut after so many seconds. The first failure ends all."""
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(target.stream(prompt, output_tokens, until)) for prompt in prompts]
    return [task.result() for task in tasks]
