"""One replay along its time axis: what came in, what the box took, which windows were open, what it cost, what was bad.

Binned once, near the simulation, so that a chart of a million requests is a few hundred numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.economics.money import NANO, SECONDS_PER_MONTH
from gateway.replay.run import REFUSED, Run
from gateway.routing.speed import SpeedModel

MOST_BINS = 180
"""About as many as a chart can tell apart."""
BIN_SECONDS = (1, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OpenSpan:
    """Windows of one copy that follow one another without a gap, seconds on the trace's clock."""

    backend: str
    lane: int
    """From 0: the lowest place that was free when it opened."""
    opens_s: float
    ends_s: float
    windows: int
    calls: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """All arrays have one entry a bin, (bins,)."""

    policy: str
    span_seconds: float
    bin_seconds: float
    offered: Floats
    """Work that arrived, as a share of what the box can do. NaN: the policy has no box."""
    boxed: Floats
    """The part of it that went to the box, when it went there."""
    spans: tuple[OpenSpan, ...]
    usd_per_hour: Mapping[str, Floats]
    """By backend, in the policy's order: flat money and windows as they run, tokens when the request was sent."""
    bad_per_hour: Mapping[str, Floats]
    """By cause (late, wrong, refused), by arrival; a request both late and wrong is under wrong."""

    @property
    def bins(self) -> int:
        return len(self.offered)


def timeline(run: Run, box: tuple[str, SpeedModel] | None) -> Timeline:
    """`box`: the backend whose load is shown, with what it can do."""
    width = bin_seconds(run.span_seconds)
    bins = max(1, math.ceil(run.span_seconds / width - 1e-9))
    arrived = _bin(run.requests.arrival_s, width, bins)
    sent = _bin(np.where(np.isnan(run.sent_s), run.requests.arrival_s, run.sent_s), width, bins)
    offered = boxed = np.full(bins, math.nan)
    if box is not None:
        name, speed = box
        work = run.requests.in_tokens / speed.prompt_tokens_per_second + run.requests.out_tokens * (
            speed.step(speed.batch) / speed.batch
        )
        mine = run.backend == run.backends.index(name)
        offered = np.bincount(arrived, work, bins) / width
        boxed = np.bincount(sent[mine], work[mine], bins) / width
    return Timeline(
        policy=run.policy,
        span_seconds=run.span_seconds,
        bin_seconds=float(width),
        offered=offered,
        boxed=boxed,
        spans=tuple(_spans(run)),
        usd_per_hour={name: _usd_per_hour(run, index, sent, width, bins) for index, name in enumerate(run.backends)},
        bad_per_hour={
            "late": np.bincount(arrived, run.late & ~run.wrong, bins) * 3600 / width,
            "wrong": np.bincount(arrived, run.wrong, bins) * 3600 / width,
            "refused": np.bincount(arrived, run.backend == REFUSED, bins) * 3600 / width,
        },
    )


def bin_seconds(span_seconds: float) -> int:
    """The shortest round width that needs at most `MOST_BINS`."""
    return next((width for width in BIN_SECONDS if span_seconds / width <= MOST_BINS), BIN_SECONDS[-1])


def _bin(seconds: Floats, width: float, bins: int) -> NDArray[np.int64]:
    """What comes after the end of the span counts in the last bin."""
    return np.clip((seconds / width).astype(np.int64), 0, bins - 1)


def _usd_per_hour(run: Run, index: int, sent: NDArray[np.int64], width: float, bins: int) -> Floats:
    name, mine = run.backends[index], run.backend == index
    usd = np.bincount(sent[mine], run.per_token_nanousd[mine] / NANO, bins).astype(np.float64)
    edges = np.arange(bins + 1) * width
    for window in run.windows:
        if window.backend == name:
            first, last = int(window.opens_s // width), min(int(window.ends_s // width), bins - 1)
            rate = window.nanousd / NANO / (window.ends_s - window.opens_s)
            for place in range(min(first, bins - 1), last + 1):
                usd[place] += rate * max(0.0, min(edges[place + 1], window.ends_s) - max(edges[place], window.opens_s))
    if mine.any():
        usd += run.flat_nanousd_per_month.get(name, 0) / NANO * width / SECONDS_PER_MONTH
    return usd * (3600 / width)


def _spans(run: Run) -> Iterable[OpenSpan]:
    """Contiguous windows of a copy as one bar, each in the lowest lane that is free."""
    whole: list[tuple[str, int, float, float, int, int]] = []
    last: dict[tuple[str, int], int] = {}
    for window in sorted(run.windows, key=lambda one: one.opens_s):
        copy = (window.backend, window.copy)
        place = last.get(copy)
        if place is not None and window.opens_s - whole[place][3] < 1e-6:
            name, number, opens, _, windows, calls = whole[place]
            whole[place] = (name, number, opens, window.ends_s, windows + 1, calls + window.calls)
        else:
            last[copy] = len(whole)
            whole.append((*copy, window.opens_s, window.ends_s, 1, window.calls))
    free: list[float] = []
    for name, _, opens, ends, windows, calls in whole:
        lane = next((number for number, until in enumerate(free) if until <= opens), len(free))
        if lane == len(free):
            free.append(ends)
        free[lane] = ends
        yield OpenSpan(name, lane, opens, ends, windows, calls)
