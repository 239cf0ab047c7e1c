"""What a backend says that it has loaded: its own /v1/models, the one truth about adapters. Never on a request's
path."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import aiohttp
import msgspec

from gateway.policy.schema import BackendSettings

if TYPE_CHECKING:
    from gateway.server.core import Core

log = logging.getLogger(__name__)

MAX_LIST_BYTES = 4 * 1024 * 1024
ASK_SECONDS = 2.0
SCRAPES_BETWEEN = 5
"""Adapters come and go far more slowly than load does: one list for so many readings of the metrics."""


class _Model(msgspec.Struct):
    id: str


class _List(msgspec.Struct):
    data: list[_Model]


_decode = msgspec.json.Decoder(_List).decode


async def models_of(session: aiohttp.ClientSession, settings: BackendSettings) -> frozenset[str] | None:
    """The names that a backend lists; None: it cannot be asked now, or does not tell."""
    if settings.base_url is None:
        return None
    headers = {}
    if settings.api_key is not None:
        headers["authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
    url = settings.base_url.rstrip("/") + "/models"
    try:
        async with session.get(
            url, headers=headers, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=ASK_SECONDS)
        ) as answer:
            if answer.status != 200:
                return None
            page = bytearray()
            async for part in answer.content.iter_any():
                page += part
                if len(page) > MAX_LIST_BYTES:
                    return None
            return frozenset(model.id for model in _decode(bytes(page)).data)
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, UnicodeDecodeError):
        return None


async def ask_models(settings: BackendSettings) -> frozenset[str] | None:
    """Once, as `models_of`."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        return await models_of(session, settings)


async def watch_models(core: Core, backend: str, *, scraped: bool) -> None:
    """Reads one backend's list for ever. `scraped`: its metrics are read as well."""
    seconds = SCRAPES_BETWEEN * core.policy.routing.scrape_seconds
    async with aiohttp.ClientSession(trust_env=False) as session:
        while True:
            try:
                if core.deployments.watches(backend, scraped=scraped):
                    asked_at = core.clock()
                    models = await models_of(session, core.settings[backend])
                    core.deployments.listed(backend, models, asked_at)
            except Exception:
                log.exception("reading what %s has loaded failed; it is tried again", backend)
            await asyncio.sleep(seconds)
