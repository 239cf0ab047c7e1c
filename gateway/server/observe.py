"""Background observers, never on a request's path: a backend's own metrics, the books' clock, the event loop's lag."""

from __future__ import annotations

import asyncio
import logging
import re
from math import isfinite
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from gateway.backends.wire import broken
from gateway.economics.money import usd
from gateway.metering.series import Series
from gateway.policy.schema import BackendSettings
from gateway.routing.load import Load
from gateway.routing.standing import standing
from gateway.routing.tracker import Tracker
from gateway.server.adapters.served_models import watch_models
from gateway.server.core import Core
from gateway.server.crossings import show_crossovers
from gateway.server.loop_lag import LoopLag

log = logging.getLogger(__name__)

MAX_METRICS_BYTES = 8 * 1024 * 1024
SCRAPE_TIMEOUT_SECONDS = 2.0
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
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=SCRAPE_TIMEOUT_SECONDS), trust_env=False
    ) as session:
        while True:
            try:
                load = await _scrape(session, name, url, core.clock(), tracker.in_flight)
                timeouts = 0
                if load is not None:
                    _count_reported(core.series, name, before, load)
                    before = load
                if not tracker.reachable:
                    tracker.reachable = True
                    tracker.recovered()
                if load is not None:
                    tracker.scraped(load)
            except TimeoutError:
                timeouts += 1
                if timeouts >= TIMEOUTS_TO_UNREACHABLE:
                    tracker.lost(f"its metrics page did not answer {timeouts} times in a row")
            except aiohttp.ClientError as error:
                tracker.lost(broken(name, error).message)
            except Exception:
                log.exception("reading the load of %s failed; it is tried again", name)
            await asyncio.sleep(core.policy.routing.scrape_seconds)


def _count_reported(series: Series, name: str, before: Load | None, load: Load) -> None:
    """What the backend's own counters rose by. After its restart they begin at 0 again."""
    anew = before is not None and load.another_server(before)
    for token_type, now, last in (
        ("input", load.prompt_tokens, before and before.prompt_tokens),
        ("output", load.generated_tokens, before and before.generated_tokens),
    ):
        if now is not None:
            series.reported(name, token_type, 0.0 if before is None else now - (0.0 if anew else last or 0.0))


async def _scrape(session: aiohttp.ClientSession, name: str, url: str, at: float, own_in_flight: int) -> Load | None:
    async with session.get(url) as response:
        if response.status != 200:
            return None
        page = bytearray()
        async for part in response.content.iter_any():
            page += part
            if len(page) > MAX_METRICS_BYTES:
                raise ValueError(f"the metrics page of {name} is longer than {MAX_METRICS_BYTES} bytes")
        return read_load(bytes(page), at, own_in_flight)


def _show_accuracy(series: Series, name: str, tracker: Tracker, now: float) -> None:
    for quantity, accuracy in (("ttft", tracker.ttft_accuracy), ("time_per_token", tracker.time_per_token_accuracy)):
        if accuracy.observations:
            series.prediction_error.labels(name, quantity).set(accuracy.error_ratio or 0.0)
            series.prediction_bias.labels(name, quantity).set(accuracy.bias_ratio or 0.0)
            series.prediction_coverage.labels(name, quantity).set(accuracy.coverage_ratio or 0.0)
    series.prediction_margin.labels(name).set(tracker.margin(now))


def _show_load(series: Series, name: str, load: Load) -> None:
    series.running.labels(name).set(load.requests - load.waiting)
    series.waiting.labels(name).set(load.waiting)
    series.unknown_in_flight.labels(name).set(load.unknown_there)
    if load.kv_cache_usage is not None:
        series.kv_cache.labels(name).set(load.kv_cache_usage)


def _show(core: Core, now: float) -> None:
    for name, tracker in core.fleet.trackers.items():
        if tracker.load is not None:
            _show_load(core.series, name, tracker.load)
        core.series.up.labels(name).set(tracker.reachable and not tracker.circuit_open(now))
        core.series.in_flight.labels(name).set(tracker.in_flight)
        core.series.utilization.labels(name).set(tracker.tokens_per_second(now) / tracker.capacity)
        core.series.capacity.labels(name).set(tracker.capacity)
        _show_accuracy(core.series, name, tracker, now)
    _show_standing(core, now)
    capacity = {name: tracker.capacity for name, tracker in core.fleet.trackers.items()}
    show_crossovers(core.series, core.paths, capacity, core.meter.totals)
    if core.ledger is not None:
        core.series.ledger(writing=core.ledger.writing, lost=core.ledger.lost)


def _show_standing(core: Core, now: float) -> None:
    series, at = core.series, standing(core.router, core.fleet.snapshot(now))
    series.answer_worth.set(usd(round(at.worth_nanousd)))
    series.budget.set(at.budget_ratio)
    series.captive_demand.set(at.demand)
    for backend, regret in at.regret_nanousd.items():
        series.window_regret.labels(backend).set(usd(round(regret)))


async def keep_time(core: Core) -> None:
    """Accrues cost once a second, and brings the metrics up to date, with how late the loop woke up meanwhile."""
    lag = LoopLag(core.series.event_loop_lag.observe)
    lag.start()
    try:
        while True:
            now = core.clock()
            try:
                core.meter.tick(now)
            except Exception:
                log.exception("accruing cost failed; it is tried again in a second")
            core.loop_lag_seconds = lag.worst()
            core.series.loop_lag.set(core.loop_lag_seconds)
            try:
                _show(core, now)
            except Exception:
                log.exception("bringing the metrics up to date failed; it is tried again in a second")
            await asyncio.sleep(1.0)
    finally:
        lag.stop()


def observers(core: Core) -> list[asyncio.Task[None]]:
    """Starts all of them on the running loop."""
    tasks = [asyncio.create_task(keep_time(core), name="books' clock")]
    for name, settings in core.settings.items():
        url = metrics_url(settings)
        if url is not None:
            tasks.append(asyncio.create_task(watch_load(core, name, url), name=f"load of {name}"))
        if settings.wire == "openai":
            watching = watch_models(core, name, scraped=url is not None)
            tasks.append(asyncio.create_task(watching, name=f"models of {name}"))
    return tasks
