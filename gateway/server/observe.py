"""Background observers, never on a request's path: a backend's own metrics, the books' clock, the event loop's lag."""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from gateway.backends.wire import broken
from gateway.policy.schema import BackendSettings
from gateway.server.core import Core
from gateway.server.fleet import Load, Tracker

log = logging.getLogger(__name__)

MAX_METRICS_BYTES = 8 * 1024 * 1024
SCRAPE_TIMEOUT_SECONDS = 2.0
TIMEOUTS_TO_UNREACHABLE = 5
LAG_STEP_SECONDS = 0.05


def metrics_url(settings: BackendSettings) -> str | None:
    """The Prometheus page of a vLLM server: beside /v1, unless the policy says otherwise ('' = none)."""
    if settings.base_url is None or settings.metrics_url == "":
        return None
    if settings.metrics_url is not None:
        return settings.metrics_url
    parts = urlsplit(settings.base_url)
    root = parts.path.rstrip("/").removesuffix("/v1")
    return urlunsplit((parts.scheme, parts.netloc, f"{root}/metrics", "", ""))


def read_load(page: bytes) -> tuple[int, float | None] | None:
    """(requests running and waiting, KV-cache use 0-1) from vLLM's metrics page; None: it has no such series."""
    requests = 0.0
    kv: float | None = None
    found = False
    for line in page.splitlines():
        if line.startswith((b"vllm:num_requests_running{", b"vllm:num_requests_waiting{")):
            requests += float(line.rpartition(b" ")[2])
            found = True
        elif line.startswith(b"vllm:kv_cache_usage_perc{"):
            kv = max(kv or 0.0, float(line.rpartition(b" ")[2]))
    return (round(requests), kv) if found else None


async def watch_load(core: Core, name: str, url: str) -> None:
    """Scrapes one backend for ever. Not reachable: no traffic until it is; slow to answer: only its load grows old."""
    tracker = core.fleet.trackers[name]
    timeouts = 0
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=SCRAPE_TIMEOUT_SECONDS), trust_env=False
    ) as session:
        while True:
            own = tracker.in_flight
            try:
                load = await _scrape(session, name, url)
                timeouts = 0
                if not tracker.reachable:
                    tracker.reachable = True
                    tracker.recovered()
                if load is not None:
                    tracker.load = Load(core.clock(), load[0], own, load[1])
            except TimeoutError:
                timeouts += 1
                if timeouts >= TIMEOUTS_TO_UNREACHABLE:
                    _lost(tracker, f"its metrics page did not answer {timeouts} times in a row")
            except aiohttp.ClientError as error:
                _lost(tracker, broken(name, error).message)
            except Exception:
                log.exception("reading the load of %s failed; it is tried again", name)
            await asyncio.sleep(core.policy.routing.scrape_seconds)


async def _scrape(session: aiohttp.ClientSession, name: str, url: str) -> tuple[int, float | None] | None:
    async with session.get(url) as response:
        if response.status != 200:
            return None
        page = bytearray()
        async for part in response.content.iter_any():
            page += part
            if len(page) > MAX_METRICS_BYTES:
                raise ValueError(f"the metrics page of {name} is longer than {MAX_METRICS_BYTES} bytes")
        return read_load(bytes(page))


def _lost(tracker: Tracker, why: str) -> None:
    tracker.reachable = False
    tracker.load = None
    tracker.last_failure = why


async def keep_time(core: Core) -> None:
    """Accrues cost once a second, and measures how late the loop wakes up in between."""
    next_tick = core.clock()
    worst = 0.0
    while True:
        before = core.clock()
        await asyncio.sleep(LAG_STEP_SECONDS)
        now = core.clock()
        worst = max(worst, now - before - LAG_STEP_SECONDS)
        if now < next_tick:
            continue
        next_tick = now + 1.0
        try:
            core.meter.tick(now)
        except Exception:
            log.exception("accruing cost failed; it is tried again in a second")
        core.series.loop_lag.set(max(0.0, worst))
        worst = 0.0
        for name, tracker in core.fleet.trackers.items():
            core.series.up.labels(name).set(tracker.reachable and not tracker.circuit_open(now))
            core.series.in_flight.labels(name).set(tracker.in_flight)
            core.series.utilization.labels(name).set(tracker.tokens_per_second(now) / tracker.capacity)


def observers(core: Core) -> list[asyncio.Task[None]]:
    """Starts all of them on the running loop."""
    tasks = [asyncio.create_task(keep_time(core), name="books' clock")]
    for name, settings in core.settings.items():
        url = metrics_url(settings)
        if url is not None:
            tasks.append(asyncio.create_task(watch_load(core, name, url), name=f"load of {name}"))
    return tasks
