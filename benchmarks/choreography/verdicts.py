"""Did it go in order? Each step of the choreography as a figure and a yes or no. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from benchmarks.choreography.play import Performance

LEAST_AT_RISK = 0.25
"""Answers that the box was expected to give late (the sum of the chances), before a window may be opened: one answer in
time is worth about a window here, and a quarter of its price opens one where the forecast agrees (windows.eager)."""
LEAST_FILLED = 0.5
"""Of the tuned requests that come while a call adds nothing to the bill and there is room, and the box is not idle:
the share that goes there."""
FREE_SHARE = 0.25
"""A window counts as free to fill while more than this share of it is left in which calls are free."""
WINDOWS_SPARE = 2
"""Beyond the whole windows from the first call to the end of the burst: one for the idle tail, one for the start."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One step: `kept` or not, and in words what was seen."""

    step: str
    kept: bool
    seen: str


def verdicts(performance: Performance, window_seconds: float, quiet_until: float, quiet_from: float) -> list[Verdict]:
    """`quiet_until`: when the burst begins to rise, `quiet_from`: when it is over, seconds after the start."""
    tuned = [decision for decision in performance.decisions if decision["request"]["model"] == "tuned"]
    at_risk = [(decision["at"], _box_late(decision)) for decision in tuned]
    return [
        _box_first(performance, tuned, quiet_until),
        _opened_when_it_paid(performance, at_risk, window_seconds),
        _filled(tuned, window_seconds),
        _left_to_close(performance, quiet_from, window_seconds),
        Verdict(
            "the books equal the bill",
            not performance.differences,
            "; ".join(performance.differences)
            or f"{sum(performance.bill_nanousd.values())} n$ and {len(performance.windows)} windows on both sides",
        ),
        _answered(performance),
    ]


def figures(performance: Performance) -> dict[str, Any]:
    """What came of it, for the results file."""
    good = [answer for answer in performance.answers if answer.error is None]
    return {
        "requests": len(performance.answers),
        "by_backend": {
            name: sum(answer.backend == name for answer in good) for name in sorted({a.backend for a in good})
        },
        "reasons": {name: sum(a.reason == name for a in good) for name in sorted({a.reason for a in good})},
        "decisions_that_wait": sum(decision["request"]["held_before"] for decision in performance.decisions),
        "warm_up_calls": performance.warmups,
        "windows": len(performance.windows),
        "calls_of_the_imported_model": len(performance.cmi_calls),
        "usd": {name: amount / 1e9 for name, amount in performance.bill_nanousd.items()},
        "answer_seconds": _spread([answer.seconds for answer in good]),
    }


def as_json(found: Sequence[Verdict]) -> list[dict[str, Any]]:
    return [asdict(verdict) for verdict in found]


def _candidate(decision: Mapping[str, Any], backend: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(c for c in decision["candidates"] if c["backend"] == backend)
    return found


def _box_late(decision: Mapping[str, Any]) -> float:
    """The chance of it."""
    return float(_candidate(decision, "box")["late_chance"] or 0.0)


def _box_first(performance: Performance, tuned: Sequence[Mapping[str, Any]], quiet_until: float) -> Verdict:
    quiet = [decision["chosen"] for decision in tuned if decision["at"] < quiet_until]
    first = min(performance.cmi_calls, default=None)
    kept = bool(quiet) and all(name == "box" for name in quiet) and (first is None or first >= quiet_until)
    words = "never" if first is None else f"at {first:.1f} s"
    seen = (
        f"{quiet.count('box')} of {len(quiet)} tuned requests of the quiet start went to the box; the burst rises at "
    )
    return Verdict("box first", kept, seen + f"{quiet_until:.1f} s, and the imported model was first called {words}")


def _opened_when_it_paid(
    performance: Performance, at_risk: Sequence[tuple[float, float]], window_seconds: float
) -> Verdict:
    """A copy that is warmed ahead of the need may come first, if the need comes while its first window is paid."""
    step = "a window opened when the box could not"
    first = min(performance.cmi_calls, default=None)
    if first is None:
        return Verdict(step, False, "no window was opened")
    before = sum(chance for at, chance in at_risk if at < first)
    soon = sum(chance for at, chance in at_risk if first <= at < first + window_seconds)
    seen = (
        f"{before:.2f} tuned answers were expected late from the box before the first call at {first:.1f} s, and "
        f"{soon:.2f} in the {window_seconds:g} s after it ({performance.warmups} calls were warm-ups)"
    )
    return Verdict(step, before >= LEAST_AT_RISK or (performance.warmups > 0 and soon >= LEAST_AT_RISK), seen)


def _filled(tuned: Sequence[Mapping[str, Any]], window_seconds: float) -> Verdict:
    """The box keeps what it serves at no cost as long as it is quick: only what it has to share counts."""
    free, went = 0, 0
    for decision in tuned:
        cmi, box = _candidate(decision, "cmi"), _candidate(decision, "box")
        room = (cmi["window_room"] or 0) > 0 and (cmi["window_free_seconds"] or 0.0) > FREE_SHARE * window_seconds
        if room and cmi["excluded"] is None and box["in_flight"] > 0:
            free += 1
            went += decision["chosen"] == "cmi"
    share = went / free if free else 0.0
    seen = f"{went} of {free} tuned requests that came while a window was free to fill went there ({share:.0%})"
    return Verdict("filled while it was free", share >= LEAST_FILLED, seen)


def _left_to_close(performance: Performance, quiet_from: float, window_seconds: float) -> Verdict:
    """Held against the burst itself, not against who was predicted late on the box: while a window relieves the box,
    nobody is."""
    if not performance.cmi_calls:
        return Verdict("left to close", False, "no window was opened")
    first, last = performance.cmi_calls[0], performance.cmi_calls[-1]
    over = max(quiet_from, first)
    needed = ceil((over - first) / window_seconds) + WINDOWS_SPARE
    windows = len(performance.windows)
    kept = last <= over + window_seconds and windows <= needed
    seen = (
        f"the burst was over at {quiet_from:.1f} s and the last call came at {last:.1f} s; {windows} windows were "
        f"billed, at most {needed} were needed"
    )
    return Verdict("left to close", kept, seen)


def _answered(performance: Performance) -> Verdict:
    failed = [answer.error for answer in performance.answers if answer.error is not None]
    seen = f"{len(performance.answers) - len(failed)} of {len(performance.answers)} requests were answered"
    return Verdict("everybody answered", not failed, seen + (f"; the first failure: {failed[0]}" if failed else ""))


def _spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    if not ordered:
        return {}
    return {name: ordered[min(len(ordered) - 1, int(len(ordered) * at))] for name, at in (("p50", 0.5), ("p99", 0.99))}
