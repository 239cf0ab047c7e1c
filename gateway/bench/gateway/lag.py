"""The gateway's event-loop lag under full load, read from its own metrics page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import msgspec

from gateway.bench.gateway.systems import System

HISTOGRAM = "crossover_event_loop_lag_seconds"
GAUGE = "crossover_loop_lag_seconds"
_BUCKET = re.compile(rf'^{HISTOGRAM}_bucket{{.*?le="([^"]+)"}} (\S+)$', re.MULTILINE)
_GAUGE = re.compile(rf"^{GAUGE} (\S+)$", re.MULTILINE)


class Lag(msgspec.Struct):
    """`series` says what the seconds are: the p99 of the histogram, or the highest value seen of the gauge."""

    seconds: float
    series: str


class LagMeter:
    def __init__(self, system: System | None) -> None:
        self._system = system
        self._counts: dict[float, float] = {}
        self._highest: float | None = None

    @contextmanager
    def around(self, wanted: bool) -> Iterator[None]:
        """Counts what the page gained between begin and end."""
        if not wanted or self._system is None:
            yield
            return
        before = buckets(self._system.metrics())
        yield
        page = self._system.metrics()
        for edge, count in buckets(page).items():
            self._counts[edge] = self._counts.get(edge, 0.0) + count - before.get(edge, 0.0)
        if found := _GAUGE.search(page):
            self._highest = max(self._highest or 0.0, float(found[1]))

    def worst(self) -> Lag | None:
        if self._counts and max(self._counts.values()) > 0:
            return Lag(quantile(self._counts, 0.99), f"p99 of {HISTOGRAM}")
        if self._highest is not None:
            return Lag(self._highest, f"highest {GAUGE}, the worst of a second")
        return None


def buckets(page: str) -> dict[float, float]:
    """Cumulative counts by upper edge."""
    return {float(edge): float(count) for edge, count in _BUCKET.findall(page)}


def quantile(counts: dict[float, float], share: float) -> float:
    """Linear within the bucket, as Prometheus does it; in the last one its lower edge."""
    edges = sorted(counts.items())
    wanted = share * edges[-1][1]
    for (low, under), (high, count) in pairwise([(0.0, 0.0), *edges]):
        if count >= wanted and count > under:
            return low if high == float("inf") else low + (high - low) * (wanted - under) / (count - under)
    return edges[-1][0]
