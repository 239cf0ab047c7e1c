"""From the raw record of a replay to the figures of its report. Dollars become floats here and nowhere earlier.

A month is 730 hours. What is paid by use (windows, tokens) is scaled from the span to a month; what is paid by the
month counts whole when the policy sent it anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.economics.money import NANO, SECONDS_PER_MONTH
from gateway.replay.requests import DAY_SECONDS
from gateway.replay.run import REFUSED, BilledWindow, Run
from gateway.replay.statistics import Interval, paired_interval

PERCENTILES = (50, 95, 99)
FEW_CALLS = 10
"""A window used by fewer calls than this was hardly worth opening: they are counted apart."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of TTFT in seconds, over the answered requests of one kind. None: there were none."""

    requests: int
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class BackendResult:
    name: str
    share: float
    """Of all requests, 0 to 1."""
    output_tokens: int
    flat_usd_per_month: float
    """Paid by the month; 0 when nothing was sent there."""
    window_usd_per_month: float
    token_usd_per_month: float
    utilization: float | None
    """Output tokens over what it could have made in the whole span; None: its capacity is not known."""

    @property
    def usd_per_month(self) -> float:
        return self.flat_usd_per_month + self.window_usd_per_month + self.token_usd_per_month


@dataclass(frozen=True, slots=True)
class WindowResult:
    """The billed windows of all imported models."""

    per_month: float
    used_per_month: float
    """With at least one call: the rest is the idle tail after the last one."""
    few_calls_per_month: float
    """Used, by fewer than `FEW_CALLS` calls."""
    mean_calls: float
    """Of a used window."""
    mean_output_tokens: float
    """Of a used window."""
    busy_share: float | None
    """Output tokens of all windows over what their copies could have made in them; None: capacity unknown."""
    metered_per_month: float
    """As the gateway's own books count them."""


@dataclass(frozen=True, slots=True)
class Daily:
    """Whole days of the span, one entry a day (days,)."""

    usd: NDArray[np.float64]
    """Of the day: what it used, and the flat backends' share of a month."""
    bad: NDArray[np.float64]
    """Bad requests that arrived that day."""
    requests: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Result:
    """One policy over one list of requests."""

    policy: str
    requests: int
    usd_per_month: float
    variable_usd_per_month: float
    usd_per_1m_tokens: float
    """All dollars over all tokens, input and output."""
    bad: float
    """Shares of all requests, 0 to 1. A late answer may be a wrong one too: `bad` counts it once."""
    late: float
    wrong: float
    refused: float
    interactive: Latency
    relaxed: Latency
    held: float
    """Share of requests sent later than they came."""
    backends: tuple[BackendResult, ...]
    windows: WindowResult
    daily: Daily
    decisions: int
    wall_seconds: float

    def backend(self, name: str) -> BackendResult:
        return next(one for one in self.backends if one.name == name)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A policy against another on the same requests; intervals over days, None when there are too few."""

    policy: str
    against: str
    usd_per_month: float
    """Ours less theirs."""
    bad: float
    """Ours less theirs, share of requests."""
    usd_interval: Interval | None
    """$ a month."""
    bad_interval: Interval | None


def result(run: Run, capacity: Mapping[str, float]) -> Result:
    """`capacity`: output tokens/s of each backend, all streams together; of one copy where it is billed by windows."""
    tokens = float(run.requests.in_tokens.sum() + run.requests.out_tokens.sum())
    count = max(len(run.requests), 1)
    usd_per_month = run.usd_per_month
    answered = run.backend != REFUSED
    interactive = run.requests.interactive
    return Result(
        policy=run.policy,
        requests=len(run.requests),
        usd_per_month=usd_per_month,
        variable_usd_per_month=run.variable_nanousd / run.months / NANO,
        usd_per_1m_tokens=usd_per_month * run.months / tokens * 1e6 if tokens else 0.0,
        bad=float(run.bad.sum()) / count,
        late=float(run.late.sum()) / count,
        wrong=float(run.wrong.sum()) / count,
        refused=float(run.refused.sum()) / count,
        interactive=_latency(run.ttft_s[answered & interactive]),
        relaxed=_latency(run.ttft_s[answered & ~interactive]),
        held=float((answered & (run.sent_s > run.requests.arrival_s + 1e-6)).sum()) / count,
        backends=tuple(_backend(run, index, capacity.get(name)) for index, name in enumerate(run.backends)),
        windows=_windows(run, capacity),
        daily=_daily(run),
        decisions=run.decisions,
        wall_seconds=run.wall_seconds,
    )


def compare(ours: Result, theirs: Result) -> Comparison:
    """Raises ValueError when the two did not serve the same requests."""
    if ours.requests != theirs.requests or not np.array_equal(ours.daily.requests, theirs.daily.requests):
        raise ValueError(f"{ours.policy} and {theirs.policy} did not serve the same requests: nothing to compare")
    days_per_month = SECONDS_PER_MONTH / DAY_SECONDS
    dollars = paired_interval((ours.daily.usd * days_per_month).tolist(), (theirs.daily.usd * days_per_month).tolist())
    # A share of all requests, as a mean over days: each day's bad requests over those of a mean day.
    mean_day = float(ours.daily.requests.mean()) if len(ours.daily.requests) else 0.0
    bad = (
        paired_interval((ours.daily.bad / mean_day).tolist(), (theirs.daily.bad / mean_day).tolist())
        if mean_day
        else None
    )
    return Comparison(
        policy=ours.policy,
        against=theirs.policy,
        usd_per_month=ours.usd_per_month - theirs.usd_per_month,
        bad=ours.bad - theirs.bad,
        usd_interval=dollars,
        bad_interval=bad,
    )


def figures(one: Result, bound_usd: float | None, hindsight_usd: float | None) -> dict[str, float | None]:
    """What `--fail-if` may name, by its names in `gateway.replay.gate`."""
    return {
        "cost": one.usd_per_month,
        "variable": one.variable_usd_per_month,
        "per_1m": one.usd_per_1m_tokens,
        "bad": one.bad,
        "late": one.late,
        "wrong": one.wrong,
        "refused": one.refused,
        "windows": one.windows.per_month,
        "ttft_p50": one.interactive.p50,
        "ttft_p95": one.interactive.p95,
        "ttft_p99": one.interactive.p99,
        "bound": bound_usd,
        "hindsight": hindsight_usd,
        "over_bound": ratio(one.usd_per_month, bound_usd),
        "over_hindsight": ratio(one.usd_per_month, hindsight_usd),
    }


def ratio(usd: float, other_usd: float | None) -> float | None:
    """None: the other is not known, or costs nothing."""
    return usd / other_usd if other_usd else None


def day_count(span_seconds: float) -> int:
    """Whole days in the span: the rest of it is in no interval."""
    return int(span_seconds / DAY_SECONDS + 1e-9)


def _latency(ttft: NDArray[np.float64]) -> Latency:
    if not len(ttft):
        return Latency(0, None, None, None)
    p50, p95, p99 = (float(value) for value in np.percentile(ttft, PERCENTILES))
    return Latency(len(ttft), p50, p95, p99)


def _backend(run: Run, index: int, tokens_per_second: float | None) -> BackendResult:
    name, mine = run.backends[index], run.backend == index
    output = float(run.requests.out_tokens[mine].sum())
    windows = sum(window.nanousd for window in run.windows if window.backend == name)
    seconds = run.span_seconds
    if windows:  # a copy that is not up cannot be busy: its capacity is that of its windows
        seconds = sum(window.ends_s - window.opens_s for window in run.windows if window.backend == name)
    return BackendResult(
        name=name,
        share=float(mine.mean()) if len(mine) else 0.0,
        output_tokens=int(output),
        flat_usd_per_month=run.flat_nanousd_per_month.get(name, 0) / NANO if mine.any() else 0.0,
        window_usd_per_month=windows / run.months / NANO,
        token_usd_per_month=int(run.per_token_nanousd[mine].sum()) / run.months / NANO,
        utilization=output / (tokens_per_second * seconds) if tokens_per_second and seconds else None,
    )


def _windows(run: Run, capacity: Mapping[str, float]) -> WindowResult:
    used = [window for window in run.windows if window.calls]
    possible = [_possible_tokens(window, capacity) for window in run.windows]
    known = [tokens for tokens in possible if tokens is not None]
    made = sum(window.output_tokens for window in run.windows)
    return WindowResult(
        per_month=len(run.windows) / run.months,
        used_per_month=len(used) / run.months,
        few_calls_per_month=sum(window.calls < FEW_CALLS for window in used) / run.months,
        mean_calls=sum(window.calls for window in used) / len(used) if used else 0.0,
        mean_output_tokens=sum(window.output_tokens for window in used) / len(used) if used else 0.0,
        busy_share=made / sum(known) if known and len(known) == len(possible) else None,
        metered_per_month=run.metered_windows / run.months,
    )


def _possible_tokens(window: BilledWindow, capacity: Mapping[str, float]) -> float | None:
    speed = capacity.get(window.backend)
    return None if speed is None else speed * (window.ends_s - window.opens_s)


def _daily(run: Run) -> Daily:
    days = day_count(run.span_seconds)
    whole = abs(run.span_seconds - days * DAY_SECONDS) < 1.0
    day = (run.requests.arrival_s / DAY_SECONDS).astype(np.int64)
    inside = day < days
    usd = _sums(day[inside], run.per_token_nanousd[inside] / NANO, days)
    for window in run.windows:
        opened = int(window.opens_s / DAY_SECONDS)
        if whole:
            opened = min(opened, days - 1)  # the tail of the last day's traffic
        if 0 <= opened < days:
            usd[opened] += window.nanousd / NANO
    usd += run.box_nanousd_per_month / NANO / (SECONDS_PER_MONTH / DAY_SECONDS)
    return Daily(
        usd=usd,
        bad=_sums(day[inside], run.bad[inside].astype(np.float64), days),
        requests=_sums(day[inside], np.ones(int(inside.sum())), days),
    )


def _sums(day: NDArray[np.int64], values: NDArray[np.float64], days: int) -> NDArray[np.float64]:
    """The sum of `values` of each day, (days,)."""
    return np.bincount(day, values, days)[:days].astype(np.float64)
