"""A backend's own metrics page, read for ever and never on a request's path."""

from __future__ import annotations

import asyncio
import logging
import re
from math import isfinite
from urllib.parse import urlsplit, urlunsplit

from gateway.backends.http1.errors import BodyTooLong, FirstByteTimeout, HTTP1Error, TotalTimeout
from gateway.backends.wire import Patience, worded
from gateway.metering.series import Series
from gateway.policy.schema import BackendSettings
from gateway.routing.load import Load
from gateway.server.core import Core
from gateway.server.pages import Page

log = logging.getLogger(__name__)

MAX_METRICS_BYTES = 8 * 1024 * 1024
SCRAPE_TIMEOUT_SECONDS = 2.0
WAITS = Patience(SCRAPE_TIMEOUT_SECONDS, SCRAPE_TIMEOUT_SECONDS, SCRAPE_TIMEOUT_SECONDS)
TIMEOUTS_TO_UNREACHABLE = 5


def metrics_url(settings: BackendSettings) -> str | None:
    """The Prometheus page of a vLLM server: beside /v1, unless the policy says otherwise ('' = none)."""
    if settings.base_url is None or settings.metrics_url == "":
        return None
    if settings.metrics_url is not None:
        return settings.metrics_url
    parts = urlsplit(settings.base_url)
    root = parts.path.rstrip("/").removesuffix("/v1")
    return urlunsplit((parts.scheme, parts.netloc, f"{root}/metrics", "", ""))


RUNNING = b"vllm:num_requests_running"
WAITING = b"vllm:num_requests_waiting"
KV_CACHE = b"vllm:kv_cache_usage_perc"
GENERATED = b"vllm:generation_tokens_total"
PROMPTS = b"vllm:prompt_tokens_total"
GAP_SECONDS = b"vllm:inter_token_latency_seconds_sum"
GAPS = b"vllm:inter_token_latency_seconds_count"
STARTED = b"process_start_time_seconds"
SUMMED = (RUNNING, WAITING, GENERATED, PROMPTS, GAP_SECONDS, GAPS)
NAMED = re.compile(rb'model_name="((?:[^"\\]|\\.)*)"')


def read_load(page: bytes, at: float = 0.0, own_in_flight: int = 0) -> Load | None:
    """vLLM's metrics page, over all its engines; None: it has none of its series, or a number that is none.

    `at`: when it was asked for; `own_in_flight`: how many requests of ours were under way then."""
    totals: dict[bytes, float] = {}
    kv: float | None = None
    started: float | None = None
    models: set[str] = set()
    try:
        for line in page.splitlines():
            if not line.startswith((b"vllm:", STARTED)):
                continue
            name, _, labels = line.partition(b"{")
            if name in SUMMED:
                totals[name] = totals.get(name, 0.0) + float(line.rpartition(b" ")[2])
                if name == RUNNING and (named := NAMED.search(labels)) is not None:
                    models.add(named[1].decode("utf-8", "replace"))
            elif name == KV_CACHE:
                kv = max(kv or 0.0, float(line.rpartition(b" ")[2]))
            elif line.startswith(STARTED + b" "):
                started = float(line.rpartition(b" ")[2])
    except ValueError:
        return None
    running, waiting = totals.get(RUNNING), totals.get(WAITING)
    if running is None and waiting is None:
        return None
    requests = (running or 0.0) + (waiting or 0.0)
    if not all(isfinite(value) for value in (*totals.values(), requests)):
        return None
    return Load(
        at, round(requests), own_in_flight, kv, round(waiting or 0.0), totals.get(GENERATED), totals.get(GAP_SECONDS),
        totals.get(GAPS), started, frozenset(models), totals.get(PROMPTS),
    )  # fmt: skip


async def watch_load(core: Core, name: str, url: str) -> None:
    """Scrapes one backend for ever. Not reachable: no traffic until it is; slow to answer: only its load grows old."""
    tracker = core.fleet.trackers[name]
    timeouts = 0
    before: Load | None = None
    page = Page(url, MAX_METRICS_BYTES, SCRAPE_TIMEOUT_SECONDS)
    try:
        while True:
            try:
                load = await _scrape(page, core.clock(), tracker.in_flight)
                timeouts = 0
                if load is not None:
                    _count_reported(core.series, name, before, load)
                    before = load
                if not tracker.reachable:
                    tracker.reachable = True
                    tracker.recovered()
                if load is not None:
                    tracker.scraped(load)
            except (FirstByteTimeout, TotalTimeout):
                timeouts += 1
                if timeouts >= TIMEOUTS_TO_UNREACHABLE:
                    tracker.lost(f"its metrics page did not answer {timeouts} times in a row")
            except BodyTooLong:
                log.warning("the metrics page of %s is longer than %d bytes", name, MAX_METRICS_BYTES)
            except HTTP1Error as error:
                tracker.lost(worded(name, error, WAITS).message)
            except Exception:
                log.exception("reading the load of %s failed; it is tried again", name)
            await asyncio.sleep(core.policy.routing.scrape_seconds)
    finally:
        await page.aclose()


def _count_reported(series: Series, name: str, before: Load | None, load: Load) -> None:
    """What the backend's own counters rose by. After its restart they begin at 0 again."""
    anew = before is not None and load.another_server(before)
    for token_type, now, last in (
        ("input", load.prompt_tokens, before and before.prompt_tokens),
        ("output", load.generated_tokens, before and before.generated_tokens),
    ):
        if now is not None:
            series.reported(name, token_type, 0.0 if before is None else now - (0.0 if anew else last or 0.0))


async def _scrape(page: Page, at: float, own_in_flight: int) -> Load | None:
    status, text = await page.read()
    return read_load(text, at, own_in_flight) if status == 200 else None
