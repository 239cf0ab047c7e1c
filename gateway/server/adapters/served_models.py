"""What a backend says that it has loaded: its own /v1/models, the one truth about adapters. Never on a request's
path."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from gateway.backends.http1.errors import HTTP1Error
from gateway.policy.schema import BackendSettings
from gateway.server.pages import Page

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


def page_of(settings: BackendSettings) -> Page | None:
    """Where a backend lists its models; None: it has no such page."""
    if settings.base_url is None:
        return None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if settings.api_key is not None:
        headers = ((b"authorization", b"Bearer " + settings.api_key.get_secret_value().encode()),)
    return Page(settings.base_url.rstrip("/") + "/models", MAX_LIST_BYTES, ASK_SECONDS, headers)


async def models_of(page: Page) -> frozenset[str] | None:
    """The names that a backend lists; None: it cannot be asked now, or does not tell."""
    try:
        status, body = await page.read()
        return frozenset(model.id for model in _decode(body).data) if status == 200 else None
    except (HTTP1Error, msgspec.DecodeError, UnicodeDecodeError):
        return None


async def ask_models(settings: BackendSettings) -> frozenset[str] | None:
    """Once, as `models_of`."""
    page = page_of(settings)
    if page is None:
        return None
    try:
        return await models_of(page)
    finally:
        await page.aclose()


async def watch_models(core: Core, backend: str, *, scraped: bool) -> None:
    """Reads one backend's list for ever. `scraped`: its metrics are read as well."""
    seconds = SCRAPES_BETWEEN * core.policy.routing.scrape_seconds
    page = page_of(core.settings[backend])
    try:
        while True:
            try:
                if core.deployments.watches(backend, scraped=scraped):
                    asked_at = core.clock()
                    models = None if page is None else await models_of(page)
                    core.deployments.listed(backend, models, asked_at)
            except Exception:
                log.exception("reading what %s has loaded failed; it is tried again", backend)
            await asyncio.sleep(seconds)
    finally:
        if page is not None:
            await page.aclose()
