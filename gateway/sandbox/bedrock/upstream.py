"""Text from an OpenAI-compatible server, with a cache so that it can be replayed at the simulated pace."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp

from gateway.sandbox.bedrock.errors import StreamError, TextUnavailable, invalid
from gateway.sandbox.bedrock.settings import TextSettings
from gateway.sandbox.bedrock.text import Finish, Generator, Piece, TextRequest, TextSource, TextStream, TokenLogprob

log = logging.getLogger(__name__)


def text_source(settings: TextSettings) -> TextSource:
    """The source that the settings name."""
    if settings.source == "generator":
        return Generator(settings.generator_min_tokens, settings.generator_max_tokens)
    return WithFallback(
        OpenAIText(settings),
        Generator(settings.generator_min_tokens, settings.generator_max_tokens, source="generator-fallback"),
    )


class WithFallback:
    """The upstream's text; the generator's, labelled, when the upstream is out of order before its first piece."""

    def __init__(self, upstream: OpenAIText, generator: Generator) -> None:
        self.upstream = upstream
        self.generator = generator

    async def open(self, request: TextRequest) -> TextStream:
        try:
            return await self.upstream.open(request)
        except TextUnavailable as error:
            log.warning("text upstream failed, the generator answers: %s", error)
            return await self.generator.open(request)

    async def close(self) -> None:
        await self.upstream.close()


@dataclass(frozen=True, slots=True)
class Recorded:
    """A finished answer, as the cache keeps it."""

    input_tokens: int
    parts: tuple[Piece | Finish, ...]


class OpenAIText:
    """Streams from `{base_url}/chat/completions` or `/completions`, greedy, with exact token counts.

    Pieces carry the tokens they took when the server sends `continuous_usage_stats` (vLLM does); otherwise one each,
    and the end corrects the sum from the final usage.
    """

    def __init__(self, settings: TextSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._cache: dict[str, Recorded] = _read_cache(settings.cache_file)
        self._writing = asyncio.Lock()

    async def open(self, request: TextRequest) -> TextStream:
        key = self._key(request)
        known = self._cache.get(key)
        if known is not None:
            return TextStream(known.input_tokens, "cache", _replay(known))
        answer = _Answer(await self._post(request), request)
        try:
            first = await answer.next()
        except BaseException:
            answer.close()
            raise
        return TextStream(answer.input_tokens, "openai", self._parts(answer, first, key), answer.close)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _parts(self, answer: _Answer, first: Piece | Finish, key: str) -> AsyncGenerator[Piece | Finish, None]:
        parts: list[Piece | Finish] = []
        part = first
        while True:
            parts.append(part)
            if isinstance(part, Finish):
                break
            yield part
            try:
                part = await answer.next()
            except TextUnavailable as error:
                raise StreamError("modelStreamErrorException", f"The text upstream broke off: {error}") from error
        await self._keep(key, Recorded(answer.input_tokens, tuple(parts)))
        yield part

    def _body(self, request: TextRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": request.model or self._settings.model,
            "max_tokens": request.max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
            **request.extra,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if request.ignore_eos:
            body["ignore_eos"] = True
        if request.token_ids:
            body["return_tokens_as_token_ids"] = True
        if request.messages:
            body["messages"] = [asdict(message) for message in request.messages]
            if request.logprobs is not None:
                body |= {"logprobs": True, "top_logprobs": request.logprobs}
        else:
            body["prompt"] = request.prompt
            if request.logprobs is not None:
                body["logprobs"] = request.logprobs
        return body

    def _key(self, request: TextRequest) -> str:
        return hashlib.sha256(json.dumps(self._body(request), sort_keys=True).encode()).hexdigest()

    async def _post(self, request: TextRequest) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=None, sock_read=self._settings.timeout_seconds),
            )
        url = f"{str(self._settings.base_url).rstrip('/')}/{'chat/completions' if request.messages else 'completions'}"
        key = self._settings.api_key
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        try:
            response = await self._session.post(url, json=self._body(request), headers=headers)
            if response.status == 200:
                return response
            text = (await response.text())[:500]
        except (aiohttp.ClientError, TimeoutError) as error:
            raise TextUnavailable(f"{url}: {type(error).__name__}: {error}") from error
        if response.status in (400, 413, 422):
            raise invalid(f"The model refused the request: {text}")
        raise TextUnavailable(f"{url} answered {response.status}: {text}")

    async def _keep(self, key: str, recorded: Recorded) -> None:
        self._cache[key] = recorded
        if self._settings.cache_file is not None:
            async with self._writing:
                await asyncio.to_thread(_write_cache, self._settings.cache_file, dict(self._cache))


class _Answer:
    """One streamed answer, read piece by piece."""

    def __init__(self, response: aiohttp.ClientResponse, request: TextRequest) -> None:
        self._response = response
        self._request = request
        self._chunks = _chunks(response)
        self._told = 0
        self._finish: Finish | None = None
        self.input_tokens = 0

    def close(self) -> None:
        """Drop the connection, which makes the server stop generating."""
        self._response.close()

    async def next(self) -> Piece | Finish:
        """The next piece, or the Finish once the server is done. TextUnavailable when it breaks off."""
        total: int | None = None
        logprobs: list[TokenLogprob] = []
        async for chunk in self._chunks:
            usage = chunk.get("usage") or {}
            self.input_tokens = usage.get("prompt_tokens", self.input_tokens)
            total = usage.get("completion_tokens", total)
            text = ""
            for choice in chunk.get("choices", [])[:1]:
                text = (choice.get("delta") or {}).get("content") or choice.get("text") or ""
                logprobs += _logprobs(choice.get("logprobs"), chat=bool(self._request.messages))
                reason, stop = choice.get("finish_reason"), choice.get("stop_reason")
                if reason:
                    cut = stop if isinstance(stop, str) else None
                    self._finish = Finish("length" if reason == "length" else "stop", cut)
            if text:
                tokens = 1 if total is None else total - self._told
                self._told += tokens
                return Piece(text, tokens, tuple(logprobs))
        if self._finish is None:
            raise TextUnavailable("the stream ended without a finish reason")
        rest = 0 if total is None else total - self._told
        return Finish(self._finish.reason, self._finish.stop_sequence, rest)


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """The decoded `data:` lines up to `[DONE]`."""
    try:
        async for line in response.content:
            data = line.strip()
            if not data.startswith(b"data:"):
                continue
            data = data[5:].strip()
            if data == b"[DONE]":
                return
            chunk = json.loads(data)
            if "error" in chunk:
                raise TextUnavailable(str(chunk["error"])[:500])
            yield chunk
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise TextUnavailable(f"{type(error).__name__}: {error}") from error


def _logprobs(given: dict[str, Any] | None, *, chat: bool) -> list[TokenLogprob]:
    if not given:
        return []
    if chat:
        return [
            TokenLogprob(
                entry["token"],
                entry["logprob"],
                tuple((top["token"], top["logprob"]) for top in entry.get("top_logprobs") or []),
            )
            for entry in given.get("content") or []
        ]
    tops = given.get("top_logprobs") or [None] * len(given["tokens"])
    return [
        TokenLogprob(token, logprob or 0.0, tuple((top or {}).items()))
        for token, logprob, top in zip(given["tokens"], given["token_logprobs"], tops, strict=True)
    ]


async def _replay(recorded: Recorded) -> AsyncGenerator[Piece | Finish, None]:
    for part in recorded.parts:
        yield part


def _read_cache(path: Path | None) -> dict[str, Recorded]:
    """The cache file's answers; none, with a warning, when it cannot be read."""
    if path is None or not path.exists():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {key: Recorded(entry["input_tokens"], tuple(map(_part, entry["parts"]))) for key, entry in data.items()}
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s is not a cache of answers (%s): starting with none", path, error)
        return {}


def _part(entry: dict[str, Any]) -> Piece | Finish:
    if "reason" in entry:
        return Finish(**entry)
    told = tuple(
        TokenLogprob(item["token"], item["logprob"], tuple((token, value) for token, value in item["top"]))
        for item in entry["logprobs"]
    )
    return Piece(entry["text"], entry["tokens"], told)


def _write_cache(path: Path, cache: dict[str, Recorded]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps({key: asdict(recorded) for key, recorded in cache.items()}), encoding="utf-8")
    partial.replace(path)
