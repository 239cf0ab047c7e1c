"""Background observers, never on a request's path: a backend's own metrics, the books' clock, the event loop's lag."""

from __future__ import annotations

import asyncio
import logging

from gateway.economics.money import usd
from gateway.metering.series import Series
from gateway.routing.load import Load
from gateway.routing.standing import standing
from gateway.routing.tracker import Tracker
from gateway.server.adapters.served_models import watch_models
from gateway.server.core import Core
from gateway.server.crossings import show_crossovers
from gateway.server.loop_lag import LoopLag
from gateway.server.scraping import metrics_url, watch_load

log = logging.getLogger(__name__)


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
