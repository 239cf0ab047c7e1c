"""Policies side by side on the same requests, with the two yardsticks, and the JSON form of all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gateway.replay.bound import Bound
from gateway.replay.gate import Figures
from gateway.replay.requests import Requests
from gateway.replay.results import Comparison, Latency, Result, compare, figures, ratio
from gateway.replay.statistics import CONFIDENCE, LEAST_DAYS, Interval
from gateway.replay.timeline import Timeline

SCHEMA = 1
"""Of the JSON form: raised when a field changes its meaning or goes away."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """All policies over one list of requests."""

    source: str
    title: str
    """What requests these are, in words."""
    load: float | None
    """Of the box's capacity, as asked for; None: as recorded."""
    measured_load: float | None
    """Of the box's capacity, of the requests as they are; None: no box."""
    start_day: float
    seed: int
    requests: int
    tokens: int
    """Input and output."""
    span_seconds: float
    error_budget: float
    results: tuple[Result, ...]
    """The policy under test first."""
    timelines: tuple[Timeline, ...]
    """As `results`."""
    baseline: str | None
    """The policy that all are compared with; None: there is only one."""
    bound: Bound | None
    hindsight: Result | None
    hindsight_kept: bool | None
    notes: tuple[str, ...] = ()

    @property
    def bound_usd(self) -> float | None:
        """$ a month at the error budget."""
        return None if self.bound is None else self.bound.usd_per_month(self.error_budget)

    @property
    def hindsight_usd(self) -> float | None:
        return None if self.hindsight is None else self.hindsight.usd_per_month

    def comparison(self, policy: Result) -> Comparison | None:
        """Against the baseline; None for itself, or without one."""
        if self.baseline is None or policy.policy == self.baseline:
            return None
        return compare(policy, next(one for one in self.results if one.policy == self.baseline))

    @property
    def figures(self) -> Figures:
        return {one.policy: figures(one, self.bound_usd, self.hindsight_usd) for one in self.results}


def title(requests: Requests, load: float | None, measured_load: float | None, start_day: float) -> str:
    """'sg_org.csv.gz at 80% of the box, 7 days from day 7, 24,112 requests'."""
    name = requests.source.rpartition("/")[2]
    words = "as recorded" if load is None else f"at {load * 100:g}% of the box"
    if load is None and measured_load is not None:
        words += f" ({measured_load:.0%} of the box)"
    start = f" from day {start_day:g}" if start_day else ""
    return f"{name} {words}, {span_words(requests.span_seconds)}{start}, {len(requests):,} requests"


def span_words(seconds: float) -> str:
    if seconds >= 86400:
        return f"{seconds / 86400:.3g} day{'s' if round(seconds) != 86400 else ''}"
    return f"{seconds / 3600:.3g} h" if seconds >= 3600 else f"{seconds / 60:.3g} min"


def replayed(
    requests: Requests,
    results: Sequence[tuple[Result, Timeline]],
    *,
    load: float | None,
    measured_load: float | None,
    start_day: float,
    seed: int,
    error_budget: float,
    baseline: str | None,
    bound: Bound | None,
    hindsight: Result | None,
    hindsight_kept: bool | None,
    notes: Sequence[str] = (),
) -> Replayed:
    return Replayed(
        source=requests.source.rpartition("/")[2],
        title=title(requests, load, measured_load, start_day),
        load=load,
        measured_load=measured_load,
        start_day=start_day,
        seed=seed,
        requests=len(requests),
        tokens=int(requests.in_tokens.sum() + requests.out_tokens.sum()),
        span_seconds=requests.span_seconds,
        error_budget=error_budget,
        results=tuple(one for one, _ in results),
        timelines=tuple(one for _, one in results),
        baseline=baseline,
        bound=bound,
        hindsight=hindsight,
        hindsight_kept=hindsight_kept,
        notes=tuple(notes),
    )


# -- JSON: floats of dollars at full precision, shares 0 to 1, null where unknown --------------------------------------


def as_json(replays: Sequence[Replayed], failed: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The contract of `crossover replay --json`."""
    return {
        "schema": SCHEMA,
        "simulated": True,
        "hours_per_month": 730,
        "statistics": {
            "method": "paired Student's t over the daily differences from the baseline",
            "confidence": CONFIDENCE,
            "least_days": LEAST_DAYS,
        },
        "replays": [_replay(one) for one in replays],
        "failed": [dict(one) for one in failed],
    }


def _replay(one: Replayed) -> dict[str, Any]:
    return {
        "trace": one.source,
        "load": one.load,
        "measured_load": one.measured_load,
        "start_day": one.start_day,
        "days": one.span_seconds / 86400,
        "seed": one.seed,
        "requests": one.requests,
        "tokens": one.tokens,
        "error_budget": one.error_budget,
        "baseline": one.baseline,
        "bound_usd_per_month": one.bound_usd,
        "hindsight": None
        if one.hindsight is None
        else {**policy_json(one.hindsight), "kept_error_budget": one.hindsight_kept},
        "policies": [_policy(one, policy) for policy in one.results],
        "notes": list(one.notes),
    }


def _policy(replay: Replayed, one: Result) -> dict[str, Any]:
    compared = replay.comparison(one)
    own = None if replay.bound is None else replay.bound.usd_per_month(one.bad)
    return {
        **policy_json(one),
        "within_error_budget": one.bad <= replay.error_budget,
        "over_bound": ratio(one.usd_per_month, replay.bound_usd),
        "over_bound_at_own_bad": ratio(one.usd_per_month, own),
        "over_hindsight": ratio(one.usd_per_month, replay.hindsight_usd),
        "against_baseline": None
        if compared is None
        else {
            "usd_per_month": compared.usd_per_month,
            "usd_per_month_interval": _interval(compared.usd_interval),
            "bad": compared.bad,
            "bad_interval": _interval(compared.bad_interval),
        },
    }


def policy_json(one: Result) -> dict[str, Any]:
    """One policy's own figures."""
    return {
        "policy": one.policy,
        "usd_per_month": one.usd_per_month,
        "variable_usd_per_month": one.variable_usd_per_month,
        "usd_per_1m_tokens": one.usd_per_1m_tokens,
        "bad": one.bad,
        "late": one.late,
        "wrong": one.wrong,
        "refused": one.refused,
        "held": one.held,
        "ttft_seconds": {"interactive": _latency(one.interactive), "relaxed": _latency(one.relaxed)},
        "backends": [{**asdict(backend), "usd_per_month": backend.usd_per_month} for backend in one.backends],
        "windows": asdict(one.windows),
        "daily": {
            "usd": one.daily.usd.tolist(),
            "bad": one.daily.bad.tolist(),
            "requests": one.daily.requests.tolist(),
        },
        "decisions": one.decisions,
        "wall_seconds": one.wall_seconds,
    }


def _latency(one: Latency) -> dict[str, float | int | None]:
    return asdict(one)


def _interval(one: Interval | None) -> dict[str, float | int] | None:
    return None if one is None else asdict(one)
