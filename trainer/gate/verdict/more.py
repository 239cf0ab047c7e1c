"""How many more questions would decide, if the rates seen are the true ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from trainer.gate.plan import Plan
from trainer.gate.statistics.power import (
    MOST_QUESTIONS,
    above_power,
    bar_power,
    below_bar_power,
    below_power,
    gain_power,
    questions_needed,
)
from trainer.gate.verdict.rule import Decision, Discordant, Evidence

Chance = Callable[[int], float]
"""Of being decided, by the number of questions in all."""


def more(plan: Plan, seen: Evidence, decision: Decision) -> tuple[int | None, str]:
    """The number, and a sentence. 0: decided already. None: no number of questions is likely to decide."""
    if decision.outcome != "undecided":
        return 0, "No more questions are needed: the verdict is decided."
    fails = list(_heading_to_fail(plan, seen))
    if fails:
        found = [(needed, what) for chance, what in fails if (needed := _needed(chance, seen)) is not None]
        if not found:
            return (
                None,
                f"The figures lean towards a fail, and more than {MOST_QUESTIONS:,} questions would have to show it.",
            )
        needed, what = min(found)
        return (
            needed,
            f"If the rates seen are the true ones, {_about(needed)} would show with a chance of 80% that {what}.",
        )
    if not _heading_to_pass(plan, seen):
        return None, _no_number(seen, decision)
    numbers = [_needed(chance, seen) for chance in _open_tests(plan, seen, decision)]
    if any(number is None for number in numbers):
        return None, (
            "The figures lean towards a pass, and so little above what is wanted that more than "
            f"{MOST_QUESTIONS:,} questions would have to show it."
        )
    needed = max((number for number in numbers if number is not None), default=0)
    return needed, (
        f"If the rates seen are the true ones, {_about(needed)} would give each test that is still open an 80% "
        "chance to hold."
    )


def _heading_to_fail(plan: Plan, seen: Evidence) -> Iterator[tuple[Chance, str]]:
    asked, alpha = seen.questions, plan.alpha
    if seen.control_accepted > plan.bar * asked:
        share = seen.control_accepted / asked
        yield lambda n: bar_power(share, plan.bar, n, alpha), f"{plan.control} itself reaches the bar"
    if seen.possible < plan.bar * asked:
        best = seen.possible / asked
        yield lambda n: below_bar_power(best, plan.bar, n, alpha), f"{plan.candidate} stays below the bar"
    gain = _largest(seen.favour)
    if _difference(gain) < plan.minimum_gain * asked:
        yield (
            lambda n: below_power(gain.gains / asked, gain.losses / asked, n, plan.minimum_gain, alpha),
            f"the gain over {plan.control} is too small to be worth having",
        )
    if seen.live_favour is not None:
        live = _largest(seen.live_favour)
        if _difference(live) < -plan.margin * asked:
            yield (
                lambda n: below_power(live.gains / asked, live.losses / asked, n, -plan.margin, alpha),
                f"{plan.candidate} is worse than {plan.live}",
            )


def _heading_to_pass(plan: Plan, seen: Evidence) -> bool:
    asked = seen.questions
    gain = _difference(_smallest(seen.against))
    live = seen.live_against
    return (
        seen.accepted > plan.bar * asked
        and seen.control_possible < plan.bar * asked
        and gain > 0
        and gain >= plan.minimum_gain * asked
        and (live is None or _difference(_smallest(live)) > -plan.margin * asked)
        and not (seen.calibrated and (seen.corrected is None or seen.corrected < plan.bar))
    )


def _open_tests(plan: Plan, seen: Evidence, decision: Decision) -> Iterator[Chance]:
    asked, alpha = seen.questions, plan.alpha
    if decision.bar == "open":
        yield lambda n: bar_power(seen.accepted / asked, plan.bar, n, alpha)
    if decision.gain == "open":
        for one in seen.against:
            yield partial(_gain_chance, plan, one, asked)
    if decision.live == "open" and seen.live_against is not None:
        for one in seen.live_against:
            yield partial(_live_chance, plan, one, asked)


def _gain_chance(plan: Plan, one: Discordant, asked: int, questions: int) -> float:
    return gain_power(one.gains / asked, one.losses / asked, questions, plan.alpha, plan.minimum_gain)


def _live_chance(plan: Plan, one: Discordant, asked: int, questions: int) -> float:
    return above_power(one.gains / asked, one.losses / asked, questions, -plan.margin, plan.alpha)


def _no_number(seen: Evidence, decision: Decision) -> str:
    if (
        seen.possible > seen.accepted
        or seen.control_possible > seen.control_accepted
        or seen.against != seen.favour
        or seen.against[0] != seen.against[-1]
    ):
        return (
            "It hangs on answers that are split or unjudged: let a person settle them, or have them judged again; more "
            "questions of the same kind would leave as many open."
        )
    if decision.calibration == "open":
        return (
            "The answers that people labelled do not bear the judges out: mend the judges, or label more answers; more "
            "questions do not help."
        )
    return "What was seen lies just at an edge of the rule: no number of questions is likely to decide it."


def _needed(chance: Chance, seen: Evidence) -> int | None:
    return questions_needed(chance, seen.questions)


def _difference(one: Discordant) -> int:
    return one.gains - one.losses


def _largest(readings: tuple[Discordant, ...]) -> Discordant:
    return max(readings, key=_difference)


def _smallest(readings: tuple[Discordant, ...]) -> Discordant:
    return min(readings, key=_difference)


def _about(questions: int) -> str:
    return "one more question" if questions == 1 else f"about {questions:,} more questions"
