"""The requests of one replay: a trace thinned (or superposed) to a target load of the box, each with what it needs.

Traces tell neither quality nor patience. Where a trace names no alias, which requests need the tuned weights and which
are interactive is drawn at random, from one seeded generator: the same seed gives the same requests for every policy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.policy.replay import ReplaySettings
from gateway.policy.schema import AliasSettings, CeilingSettings
from gateway.replay.trace import Trace
from gateway.routing.speed import SpeedModel

DAY_SECONDS = 86400.0
SHIFT_SECONDS = (60.0, 1200.0)
"""Superposed copies of a trace are shifted by a random time between these, so that they do not arrive in step."""


class LoadError(ValueError):
    """The trace cannot be brought to what was asked for; the message says why and what to do."""


@dataclass(frozen=True)
class Requests:
    """Arrays of one entry a request, (n,), in order of arrival. Ceilings are inf where there is none."""

    arrival_s: NDArray[np.float64]
    """Seconds from the start of the span."""
    in_tokens: NDArray[np.float64]
    out_tokens: NDArray[np.float64]
    """At least 1. Known to the world only: a router must not see it."""
    tuned: NDArray[np.bool_]
    """Needs a class of its own (`needs` of its alias is not `any`)."""
    interactive: NDArray[np.bool_]
    """Under its alias's ceiling; else under the relaxed one."""
    ttft_max: NDArray[np.float64]
    """Seconds."""
    tpot_max: NDArray[np.float64]
    """Seconds per output token."""
    latency_max: NDArray[np.float64]
    """Seconds to the last token, whatever its length."""
    alias: NDArray[np.int16]
    """Index into `aliases`."""
    aliases: tuple[str, ...]
    span_seconds: float
    """Length of the time that the requests stand for: what a month is scaled from."""
    source: str
    """The trace's name."""

    def __len__(self) -> int:
        return len(self.arrival_s)


def draw(
    trace: Trace,
    settings: ReplaySettings,
    aliases: Mapping[str, AliasSettings],
    *,
    box: SpeedModel | None = None,
    load: float | None = None,
    start_day: float = 0.0,
    days: float | None = None,
    seed: int = 0,
) -> Requests:
    """`days` days of the trace from `start_day` on, at `load` of what the box can do; None: all of it, as recorded.

    Below the trace's own load requests are left out at random, so that its time axis, day and night, stays; above it
    whole copies of it are laid over one another, shifted by a few minutes, and then thinned.
    Raises LoadError when nothing is left, when `load` is asked for without a box, or an alias is not in the policy.
    """
    arrival, rows, span = _cut(trace, start_day, days)
    generator = np.random.default_rng(seed)
    if load is not None:
        if box is None:
            raise LoadError("a target load needs a box to be a share of: the policy has none; leave the load out")
        recorded = load_of(trace.in_tokens[rows], trace.out_tokens[rows], span, box)
        if not recorded:
            raise LoadError(f"{trace.source}: its requests have no tokens, which no load can be made of; leave it out")
        keep = load / recorded
        if keep > 1:
            copies = math.ceil(keep)
            shifts = [0.0] + [float(generator.uniform(*SHIFT_SECONDS)) for _ in range(copies - 1)]
            arrival = np.concatenate([(arrival + shift) % span for shift in shifts])
            rows = np.tile(rows, copies)
            keep /= copies
        kept = generator.random(len(arrival)) < keep
        arrival, rows = arrival[kept], rows[kept]
    order = np.argsort(arrival, kind="stable")
    arrival, rows = arrival[order], rows[order]
    if not len(arrival):
        raise LoadError(f"{trace.source}: no request is left: take more days, an earlier start_day or a higher load")
    return _labelled(trace, arrival, rows, span, settings, aliases, generator)


def load_of(in_tokens: NDArray[np.float64], out_tokens: NDArray[np.float64], span: float, box: SpeedModel) -> float:
    """Share of the box's time that these tokens take at its best: full batches, prompts read at full speed."""
    seconds_per_token = box.step(box.batch) / box.batch
    return float((in_tokens / box.prompt_tokens_per_second + out_tokens * seconds_per_token).sum()) / span


def _cut(trace: Trace, start_day: float, days: float | None) -> tuple[NDArray[np.float64], NDArray[np.intp], float]:
    """(arrival from the start of the span, rows of the trace, span in seconds)."""
    start = start_day * DAY_SECONDS
    end = (start_day + days) * DAY_SECONDS if days is not None else math.inf
    rows = np.flatnonzero((trace.arrival_s >= start) & (trace.arrival_s < end))
    if not len(rows):
        last = trace.arrival_s.max() / DAY_SECONDS if len(trace.arrival_s) else 0.0
        raise LoadError(
            f"{trace.source}: no request between day {start_day:g} and day {end / DAY_SECONDS:g}; it ends on day "
            f"{last:.3g}: choose days within it"
        )
    arrival = trace.arrival_s[rows]
    if days is not None:
        return arrival - start, rows, days * DAY_SECONDS
    arrival = arrival - arrival[0]
    return arrival, rows, float(arrival[-1]) + 1.0


def _labelled(
    trace: Trace,
    arrival: NDArray[np.float64],
    rows: NDArray[np.intp],
    span: float,
    settings: ReplaySettings,
    aliases: Mapping[str, AliasSettings],
    generator: np.random.Generator,
) -> Requests:
    n = len(arrival)
    names = tuple(aliases)
    if trace.alias is None:
        _known(settings.tuned_alias, aliases, "replay.tuned_alias")
        _known(settings.base_alias, aliases, "replay.base_alias")
        needs_tuned = generator.random(n) < settings.tuned_share
        interactive = generator.random(n) < settings.interactive_share
        alias = np.where(needs_tuned, names.index(settings.tuned_alias), names.index(settings.base_alias))
    else:
        for name in trace.aliases:
            _known(name, aliases, f"{trace.source}: alias")
        alias = np.array([names.index(name) for name in trace.aliases])[trace.alias[rows]]
        interactive = np.ones(n, bool)
    needs = np.array([aliases[name].needs != "any" for name in names])
    own = np.array([_ceiling(aliases[name].ceiling) for name in names])
    ceilings = np.where(interactive[:, None], own[alias], np.array(_ceiling(settings.relaxed_ceiling)))
    return Requests(
        arrival_s=arrival,
        in_tokens=trace.in_tokens[rows],
        out_tokens=np.maximum(trace.out_tokens[rows], 1.0),
        tuned=needs[alias],
        interactive=interactive,
        ttft_max=ceilings[:, 0],
        tpot_max=ceilings[:, 1],
        latency_max=ceilings[:, 2],
        alias=alias.astype(np.int16),
        aliases=names,
        span_seconds=span,
        source=trace.source,
    )


def _known(name: str, aliases: Mapping[str, AliasSettings], where: str) -> None:
    if name not in aliases:
        raise LoadError(f"{where}: the policy has no alias {name!r}; it has {', '.join(aliases) or 'none'}")


def _ceiling(ceiling: CeilingSettings) -> tuple[float, float, float]:
    limits = ceiling.ttft_seconds, ceiling.seconds_per_output_token, ceiling.latency_seconds
    first, token, whole = (math.inf if limit is None else limit for limit in limits)
    return first, token, whole
