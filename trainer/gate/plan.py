"""What is fixed before the first answer is asked for: the set, who answers, who judges, the bar and the tests.

A run writes its plan first. The verdict carries the plan's hash: nobody can choose the test that fits the answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Literal

import msgspec

from trainer.gate.prompt import sha256_of_set
from trainer.gate.schema import FrozenSet
from trainer.gate.statistics.proportions import least_to_show


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One registered run of the gate. Raises ValueError with everything that is wrong with it."""

    schema: Literal[1] = 1
    gate: str
    """The gate's name in its settings."""
    set_name: str
    set_sha256: str
    questions: int
    """How many there are in the set."""
    holdout: bool = False
    """The set is the sealed one."""
    generators: dict[str, dict[str, str]]
    """What each is, by name: model, address, note, and what else tells it from another."""
    judges: dict[str, dict[str, str]]
    """The same for the two judges: rule or model, and the hash of its prompt."""
    sampling: dict[str, int | float | str] = {}
    control: str
    """The generator without the tuning (base model and retrieval)."""
    candidate: str
    live: str | None = None
    """The generator that serves now; None: there is no routine question to ask."""
    bar: float
    """Share of all questions that must be accepted."""
    alpha: float = 0.05
    """How often chance alone may pass one test."""
    minimum_gain: float = 0.05
    """Difference of accepted shares, candidate less control, that is worth having."""
    margin: float = 0.10
    """How much lower than `live`'s the candidate's accepted share may be and still count as not worse."""
    calibration_sha256: str | None = None
    """Of the file of answers that people labelled."""
    earlier_verdicts: int = 0
    """How often this very set has given a verdict before."""
    tests: tuple[str, ...] = ()
    """The rule in words, as a reader of the plan needs it; `register` writes them."""

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise ValueError("this plan cannot be judged: " + "; ".join(problems))

    def sha256(self) -> str:
        """Of the whole plan in canonical form: hex."""
        return sha256(msgspec.json.encode(self, order="sorted")).hexdigest()

    @property
    def least_accepted(self) -> int | None:
        """Accepted answers that show the bar on this set; None: not even all of them would."""
        return least_to_show(self.bar, self.questions, self.alpha)


def register(
    frozen: FrozenSet,
    *,
    gate: str,
    generators: Mapping[str, Mapping[str, str]],
    judges: Mapping[str, Mapping[str, str]],
    sampling: Mapping[str, int | float | str],
    control: str,
    candidate: str,
    live: str | None,
    bar: float,
    alpha: float,
    minimum_gain: float,
    margin: float,
    holdout: bool = False,
    calibration_sha256: str | None = None,
    earlier_verdicts: int = 0,
) -> Plan:
    """The plan for this set, with its tests in words. Raises ValueError, also for a set that asks something twice."""
    problems = list(repeated(frozen))
    if problems:
        raise ValueError(f"the set {frozen.name!r} cannot be judged: " + "; ".join(problems))
    plan = Plan(
        gate=gate,
        set_name=frozen.name,
        set_sha256=sha256_of_set(frozen),
        questions=len(frozen.questions),
        holdout=holdout,
        generators={name: dict(identity) for name, identity in generators.items()},
        judges={name: dict(identity) for name, identity in judges.items()},
        sampling=dict(sampling),
        control=control,
        candidate=candidate,
        live=live,
        bar=bar,
        alpha=alpha,
        minimum_gain=minimum_gain,
        margin=margin,
        calibration_sha256=calibration_sha256,
        earlier_verdicts=earlier_verdicts,
    )
    return msgspec.structs.replace(plan, tests=_in_words(plan))


def repeated(frozen: FrozenSet) -> Iterator[str]:
    """Questions that are in a set more than once: the tests would count one piece of evidence as two."""
    by_id: dict[str, int] = defaultdict(int)
    by_words: dict[str, list[str]] = defaultdict(list)
    for question in frozen.questions:
        by_id[question.id] += 1
        by_words[" ".join(question.question.lower().split())].append(question.id)
    for name, count in by_id.items():
        if count > 1:
            yield f"the id {name!r} is used {count} times: give every question its own"
    for names in by_words.values():
        if len(set(names)) > 1:
            yield f"{', '.join(sorted(set(names)))} ask the same words: keep one of them"


def _in_words(plan: Plan) -> tuple[str, ...]:
    least = plan.least_accepted
    needs = (
        f"it needs {least} of {plan.questions}"
        if least is not None
        else f"{plan.questions} questions are too few to show it"
    )
    lines = [
        "An answer is accepted when both judges accept it. Shares are of all questions, open ones included.",
        f"Bar: {plan.candidate} is shown to reach {_percent(plan.bar)} (exact one-sided binomial test at "
        f"{plan.alpha:g}: {needs}).",
        f"Gain: {plan.candidate} beats {plan.control} on the same questions (exact two-sided McNemar test at "
        f"{plan.alpha:g}) by {_percent(plan.minimum_gain)} or more. This must hold with all splits read as accepts and "
        f"with all read as rejects; what is unjudged is read against {plan.candidate}.",
    ]
    if plan.live is not None:
        lines.append(
            f"Not worse: {plan.candidate} is shown to be less than {_percent(plan.margin)} below {plan.live} "
            f"(one-sided score test at {plan.alpha:g}), read in the same way."
        )
    if plan.calibration_sha256 is not None:
        lines.append(
            f"Calibration: the accepted share of {plan.candidate}, corrected for the judges' errors on answers that "
            f"people labelled, is {_percent(plan.bar)} or more."
        )
    lines += [
        f"Kill criterion: {plan.control} itself is shown to reach the bar (the same test as for the bar), or the gain "
        f"is shown to be below {_percent(plan.minimum_gain)} (one-sided score test at {plan.alpha:g}).",
        "Pass: every test holds, and the kill criterion has not fired and would not, whatever is open. Fail: it has "
        f"fired, or a test is shown to be out of reach with everything open read in favour of {plan.candidate}. "
        "Undecided: neither.",
    ]
    return tuple(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _problems(plan: Plan) -> Iterator[str]:
    if plan.questions < 1:
        yield f"the set has {plan.questions} questions: it needs at least one"
    if len(plan.judges) != 2:
        yield f"there are {len(plan.judges)} judges ({', '.join(plan.judges) or 'none'}): name exactly two"
    if len(plan.judges) == 2:
        (first, one), (second, other) = plan.judges.items()
        if one and one == other:
            yield f"{first} and {second} are the same judge twice: two that cannot differ are one"
    roles = {"control": plan.control, "candidate": plan.candidate, "live": plan.live}
    for role, name in roles.items():
        if name is not None and name not in plan.generators:
            yield f"{role} is {name!r}, which is none of the generators ({', '.join(plan.generators) or 'none'})"
    for role in ("control", "live"):
        if roles[role] == plan.candidate:
            yield f"{role} and candidate are both {plan.candidate!r}: a generator cannot be compared with itself"
    if not 0 < plan.bar < 1:
        yield f"the bar is {plan.bar:g}: it must lie between 0 and 1 (no number of answers shows a share of 1)"
    if not 0 < plan.alpha <= 0.2:
        yield f"alpha is {plan.alpha:g}: it must be above 0 and at most 0.2"
    if not 0 <= plan.minimum_gain < 1:
        yield f"minimum_gain is {plan.minimum_gain:g}: it must be at least 0 and below 1"
    if not 0 < plan.margin < 1:
        yield f"margin is {plan.margin:g}: it must lie between 0 and 1"
    if plan.earlier_verdicts < 0:
        yield f"earlier_verdicts is {plan.earlier_verdicts}: it cannot be negative"
