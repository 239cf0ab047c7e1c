"""The requests of one gate: one session, and for each address no more under way at a time than the settings allow."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec

from trainer.gate.chat.reply import Reply, read_reply
from trainer.gate.chat.waiting import wait_seconds
from trainer.gate.errors import ChatError, GateError, RefusedError

MAX_ANSWER_BYTES = 1024 * 1024
SAID_CHARACTERS = 300
BUSY = (429, 503)
"""Come back later, says the server: as often as the settings allow."""
LOST = (502, 504)
"""The server's own server was lost: as a lost connection, tried once more."""
NEVER = (401, 403, 404, 405, 407)
"""No later request would fare better."""


class _LostError(Exception):
    """The connection broke, or a proxy's did."""


class Chats:
    """`async with Chats(...) as chats`. `endpoint` gives one model behind one address.

    concurrency: requests under way at a time to each address, whoever sends them. retries: after 429 and 503, with
    waits of at most `longest_wait_seconds`; a lost connection is tried once more. environ: where keys are looked up.
    """

    def __init__(
        self,
        concurrency: int,
        *,
        retries: int = 4,
        longest_wait_seconds: float = 60.0,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.concurrency = concurrency
        self._retries = retries
        self._longest_wait_seconds = longest_wait_seconds
        self._environ = os.environ if environ is None else environ
        self._clock = clock
        self._wall = wall
        self._session: aiohttp.ClientSession | None = None
        self._limits: dict[tuple[str, str], asyncio.Semaphore] = {}

    async def __aenter__(self) -> Self:
        # No proxy and no .netrc from the environment, no cookies, nothing compressed: a few bytes cannot become many.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "crossover-gate"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()
        self._session = None

    def endpoint(self, name: str, base_url: str, key_env: str | None, timeout_seconds: float) -> Endpoint:
        """`name`: what errors call it. Raises GateError where the variable `key_env` is not set."""
        if self._session is None:
            raise RuntimeError("Chats is used within `async with`")
        key = None
        if key_env is not None:
            key = self._environ.get(key_env)
            if not key:
                raise GateError(f"{name}: the environment variable that key_env names is not set, or is empty")
            if not (key.isascii() and key.isprintable()) or key != key.strip():
                raise GateError(f"{name}: the key holds characters that an HTTP header cannot carry")
        parts = urlsplit(base_url)
        limit = self._limits.setdefault((parts.scheme, parts.netloc), asyncio.Semaphore(self.concurrency))
        return Endpoint(self, self._session, limit, name, base_url, key, timeout_seconds)


class Endpoint:
    """One OpenAI-compatible address. Made by `Chats.endpoint`."""

    def __init__(
        self,
        chats: Chats,
        session: aiohttp.ClientSession,
        limit: asyncio.Semaphore,
        name: str,
        base_url: str,
        key: str | None,
        timeout_seconds: float,
    ) -> None:
        self._chats = chats
        self._session = session
        self._limit = limit
        self._name = name
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._key = key
        self._timeout_seconds = timeout_seconds

    def __repr__(self) -> str:
        return f"Endpoint({self._url!r})"

    async def chat(self, body: dict[str, Any]) -> Reply:
        """The answer to one POST /chat/completions.

        Raises ChatError where no usable answer came, RefusedError where none ever will: a wrong key, model or address.
        """
        content = msgspec.json.encode(body)
        tries, lost = 0, 0
        while True:
            async with self._limit:
                tries += 1
                started = self._chats._clock()
                try:
                    status, headers, answer = await self._post(content)
                except _LostError as error:
                    lost += 1
                    if lost > 1:
                        raise ChatError(f"{self._name}: {error}, twice") from None
                    status, headers, answer = 0, {}, b""
                seconds = self._chats._clock() - started
            if status == 200:
                try:
                    return read_reply(answer, headers, seconds)
                except ChatError as error:
                    raise ChatError(f"{self._name}: {error}") from None
            if status in LOST:
                lost += 1
                if lost > 1:
                    raise ChatError(f"{self._name}: HTTP {status}, {self._said(answer)}")
            if status == 0 or status in LOST:
                await asyncio.sleep(min(1.0, self._chats._longest_wait_seconds))
                continue
            self._never(status, answer)
            if status not in BUSY or tries > self._chats._retries:
                again = f", after {tries} tries" if tries > 1 else ""
                raise ChatError(f"{self._name}: HTTP {status}, {self._said(answer)}{again}")
            retry_after = headers.get("retry-after")
            most = self._chats._longest_wait_seconds
            wait = wait_seconds(retry_after, tries, self._chats._wall(), most)
            if wait is None:
                raise ChatError(
                    f"{self._name}: HTTP {status}, and asks to be left alone for {str(retry_after)[:40]!r}: longer "
                    f"than longest_wait_seconds, {most:g}"
                )
            await asyncio.sleep(wait)

    async def _post(self, content: bytes) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"content-type": "application/json"}
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key}"
        try:
            async with self._session.post(
                self._url,
                data=content,
                headers=headers,
                allow_redirects=False,  # the key is for this address and no other
                timeout=aiohttp.ClientTimeout(total=self._timeout_seconds),
            ) as response:
                answer = bytearray()
                async for chunk in response.content.iter_any():
                    answer += chunk
                    if len(answer) > MAX_ANSWER_BYTES:
                        raise ChatError(f"{self._name}: the answer is longer than {MAX_ANSWER_BYTES} bytes")
                return response.status, dict_of(response.headers), bytes(answer)
        except TimeoutError:
            raise ChatError(
                f"{self._name}: no whole answer within {self._timeout_seconds:g} s (timeout_seconds)"
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise _LostError(f"the connection to {self._host} was lost or refused ({why})") from None

    @property
    def _host(self) -> str:
        return urlsplit(self._url).netloc

    def _never(self, status: int, answer: bytes) -> None:
        if 300 <= status < 400:
            raise RefusedError(
                f"{self._name}: {self._host} answers HTTP {status}, a redirect, which is not followed: the key would "
                "go with it. Write the address itself as base_url"
            )
        if status in NEVER:
            raise RefusedError(
                f"{self._name}: {self._host} refuses (HTTP {status}): {self._said(answer)}. Check base_url, model and "
                "the key"
            )

    def _said(self, answer: bytes) -> str:
        """The server's own words, short, on one line, without the key should it repeat it."""
        try:
            told = msgspec.json.decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            told = answer.decode("utf-8", "replace")
        error = told.get("error", told.get("detail", told.get("message"))) if isinstance(told, dict) else told
        said = error.get("message") if isinstance(error, dict) else error
        text = str(said) if said else "without a word"
        if self._key is not None:
            text = text.replace(self._key, "***")
        text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
        return text if len(text) <= SAID_CHARACTERS else text[: SAID_CHARACTERS - 3] + "..."


def dict_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Names in small letters; of a header that came twice, the first."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        found.setdefault(name.lower(), value)
    return found
