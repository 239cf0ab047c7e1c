"""The rule itself, on counts alone: pass, fail or undecided. docs/gate-statistics.md says it in words.

A pass must survive what is unjudged being read against the candidate, and splits being read as rejects and as accepts,
for both generators alike; a fail must survive the same with what is unjudged read in the candidate's favour. So what is
missing can make a verdict undecided, and never make it a pass.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

from trainer.gate.plan import Plan
from trainer.gate.statistics.paired import mcnemar_exact, score
from trainer.gate.statistics.proportions import least_to_show, most_to_refute, quantile
from trainer.gate.verdict.schema import Result

Met = Literal["yes", "no", "open"]
Cause = Literal["control reaches the bar", "gain too small"]

_mcnemar = lru_cache(maxsize=65_536)(mcnemar_exact)
_score = lru_cache(maxsize=65_536)(score)


class Discordant(NamedTuple):
    gains: int
    losses: int


Readings = tuple[Discordant, ...]
"""All questions with splits read as rejects, then with splits read as accepts."""


class Evidence(NamedTuple):
    questions: int
    accepted: int
    """Of the candidate: accepted by both judges."""
    possible: int
    """The same, with splits and unjudged answers read as accepts."""
    control_accepted: int
    control_possible: int
    against: Readings
    """Control -> candidate, what is unjudged read against the candidate."""
    favour: Readings
    live_against: Readings | None = None
    live_favour: Readings | None = None
    calibrated: bool = False
    corrected: float | None = None
    """The candidate's share corrected by the labelled answers; None: they allow no estimate."""


class Decision(NamedTuple):
    outcome: Result
    kill: Cause | None
    control: Met
    """The kill criterion's first half: no where the control is shown to reach the bar, open where it may."""
    bar: Met
    gain: Met
    live: Met | None
    calibration: Met | None


def decide(plan: Plan, seen: Evidence) -> Decision:
    bar = _bar(plan, seen)
    gain = _gain(plan, seen)
    live = _live(plan, seen)
    calibration: Met | None = None
    if seen.calibrated:
        calibration = "yes" if seen.corrected is not None and seen.corrected >= plan.bar else "open"

    control = _control(plan, seen)
    kill: Cause | None = None
    if control == "no":
        kill = "control reaches the bar"
    elif gain == "no":
        kill = "gain too small"

    outcome: Result = "undecided"
    conditions = [met for met in (control, bar, gain, live, calibration) if met is not None]
    if kill is not None or "no" in conditions:
        outcome = "fail"
    elif all(met == "yes" for met in conditions):
        outcome = "pass"
    return Decision(outcome, kill, control, bar, gain, live, calibration)


def _control(plan: Plan, seen: Evidence) -> Met:
    least = least_to_show(plan.bar, seen.questions, plan.alpha)
    if least is None or seen.control_possible < least:
        return "yes"
    return "no" if seen.control_accepted >= least else "open"


def _bar(plan: Plan, seen: Evidence) -> Met:
    least = least_to_show(plan.bar, seen.questions, plan.alpha)
    if least is not None and seen.accepted >= least:
        return "yes"
    most = most_to_refute(plan.bar, seen.questions, plan.alpha)
    return "no" if most is not None and seen.possible <= most else "open"


def _gain(plan: Plan, seen: Evidence) -> Met:
    least_gain = plan.minimum_gain * seen.questions - 1e-9
    if all(
        gains > losses and gains - losses >= least_gain and _mcnemar(gains, losses) <= plan.alpha
        for gains, losses in seen.against
    ):
        return "yes"
    z = quantile(plan.alpha)
    small = all(_score(*one, seen.questions, plan.minimum_gain) < -z for one in seen.favour)
    return "no" if small else "open"


def _live(plan: Plan, seen: Evidence) -> Met | None:
    if seen.live_against is None or seen.live_favour is None:
        return None
    z = quantile(plan.alpha)
    if all(_score(*one, seen.questions, -plan.margin) > z for one in seen.live_against):
        return "yes"
    worse = all(_score(*one, seen.questions, -plan.margin) < -z for one in seen.live_favour)
    return "no" if worse else "open"
