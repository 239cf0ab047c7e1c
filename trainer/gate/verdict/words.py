"""The verdict's sentences, for a reader who has not seen the rule. Every figure in them is also a field."""

from __future__ import annotations

from collections.abc import Iterator

from trainer.gate.plan import Plan
from trainer.gate.statistics.correction import Corrected
from trainer.gate.verdict.rule import Decision, Evidence
from trainer.gate.verdict.schema import Comparison, Condition, KillCriterion, Rate

FIRED = "Base + RAG already clears the bar: fine-tuning earns nothing here."
TOO_SMALL = "The gain is too small to be worth having: fine-tuning earns nothing here."
NOT_FIRED = "The kill criterion has not fired."


def percent(share: float) -> str:
    """With a decimal only where it is needed: 60%, 62.5%."""
    return f"{100 * share:.1f}".removesuffix(".0") + "%"


def points(difference: float) -> str:
    return f"{100 * difference:+.1f}".removesuffix(".0") + " points"


def kill(plan: Plan, decision: Decision, control: Rate, control_lower: float, gain_upper: float) -> KillCriterion:
    seen = f"{plan.control}: {control.accepted} of {control.n} accepted"
    if decision.kill == "control reaches the bar":
        sentence = f"{FIRED} ({seen}; its share is shown to be at least {percent(control_lower)}, the bar is "
        sentence += f"{percent(plan.bar)}.)"
    elif decision.kill == "gain too small":
        sentence = f"{TOO_SMALL} ({plan.control} to {plan.candidate}: shown to be at most {points(gain_upper)}; wanted "
        sentence += f"are {points(plan.minimum_gain)}.)"
    else:
        sentence = f"{NOT_FIRED} ({seen}: shown is a share of at least {percent(control_lower)}, and the bar is "
        sentence += f"{percent(plan.bar)}; the gain may be as large as {points(gain_upper)}.)"
    return KillCriterion(decision.kill is not None, decision.kill, sentence, control_lower, gain_upper)


def conditions(
    plan: Plan,
    decision: Decision,
    control: Rate,
    candidate: Rate,
    comparison: Comparison,
    live: Comparison | None,
    corrected: Corrected | None,
) -> Iterator[Condition]:
    least = plan.least_accepted
    yield Condition(
        name="control below the bar",
        met=decision.control,
        wanted=f"{plan.control} itself is not shown to reach {percent(plan.bar)}"
        + (f" (fewer than {least} of {plan.questions} accepted)" if least is not None else ""),
        seen=f"{control.accepted} of {control.n} accepted" + _open(control),
    )
    yield Condition(
        name="bar",
        met=decision.bar,
        wanted=f"{percent(plan.bar)} of all questions accepted, which "
        + (f"{least} of {plan.questions} show" if least is not None else f"{plan.questions} questions cannot show"),
        seen=f"{candidate.accepted} of {candidate.n} accepted" + _open(candidate),
    )
    yield Condition(
        name="gain",
        met=decision.gain,
        wanted=f"{points(plan.minimum_gain)} or more over {plan.control}, and p at most {plan.alpha:g}",
        seen=_paired(comparison),
    )
    if decision.live is not None and live is not None:
        yield Condition(
            name="not worse than live",
            met=decision.live,
            wanted=f"shown to be less than {percent(plan.margin)} below {plan.live}",
            seen=f"{_counts(live)}; at least {points(min(one.lower for one in live.against))}",
        )
    if decision.calibration is not None and corrected is not None:
        yield Condition(
            name="calibration",
            met=decision.calibration,
            wanted=f"{percent(plan.bar)} accepted after correction for the judges' errors",
            seen=correction(corrected),
        )


def not_worse(plan: Plan, decided: str, comparison: Comparison) -> str:
    lower, upper = min(one.lower for one in comparison.against), max(one.upper for one in comparison.favour)
    margin = percent(plan.margin)
    if decided == "not worse":
        return f"{plan.candidate} is not worse than {plan.live} by {margin} or more (at worst {points(lower)})."
    if decided == "worse":
        return f"{plan.candidate} is worse than {plan.live} by more than {margin} (at best {points(upper)})."
    return (
        f"It is open whether {plan.candidate} is worse than {plan.live} by {margin} or more (between {points(lower)} "
        f"and {points(upper)})."
    )


def why(
    plan: Plan,
    decision: Decision,
    candidate: Rate,
    comparison: Comparison,
    killed: KillCriterion,
    lines: tuple[Condition, ...],
) -> str:
    if decision.outcome == "pass":
        reached = f"{candidate.accepted} of {candidate.n} questions ({percent(candidate.low)})"
        gained = f"{points(comparison.difference)} ({_paired(comparison)})"
        return (
            f"{plan.candidate} is accepted on {reached}, which shows that it reaches the bar of {percent(plan.bar)}, "
            f"and beats {plan.control} on the same questions by {gained}."
        )
    if decision.outcome == "fail":
        if decision.kill == "control reaches the bar":
            return killed.sentence
        missed = [_line(line) for line in lines if line.met == "no"]
        first = f"{killed.sentence} " if decision.kill is not None else ""
        return f"{first}Out of reach: {'; '.join(missed)}."
    still = [_line(line) for line in lines if line.met != "yes"]
    return f"These questions do not decide. Still open: {'; '.join(still)}."


def notes(
    plan: Plan, seen: Evidence, rates: dict[str, Rate], unanswerable: int, sharing: int, said_nothing: list[str]
) -> Iterator[str]:
    if plan.least_accepted is None:
        yield (
            f"{plan.questions} questions cannot show a bar of {percent(plan.bar)}: all of them accepted would not be "
            "enough."
        )
    if plan.earlier_verdicts:
        false = 1 - (1 - plan.alpha / 2) ** (plan.earlier_verdicts + 1)
        verdicts = "one verdict" if plan.earlier_verdicts == 1 else f"{plan.earlier_verdicts} verdicts"
        yield (
            f"This set has given {verdicts} before. Of so many candidates no better than "
            f"{plan.control}, one or more would be called better with a chance of up to {percent(false)}: grow or "
            "change the set, and open the hold-out before a promotion."
        )
    for name in said_nothing:
        yield f"The judge {name} gave no verdict at all: nothing can be accepted without both."
    for name, rate in rates.items():
        if rate.unjudged:
            yield (
                f"{rate.unjudged} of {rate.n} answers of {name} are unjudged: they count as not accepted below, and as "
                "accepted above."
            )
    if not unanswerable:
        yield "No question of this set is without an answer: it does not show whether a generator makes answers up."
    if sharing:
        yield (
            f"{sharing} questions rest on a passage that another question rests on too. The tests take questions to be "
            "independent: true intervals are somewhat wider."
        )
    if seen.calibrated and seen.corrected is None:
        yield "The answers that people labelled do not tell how often the judges err: label right and wrong ones."


def correction(one: Corrected) -> str:
    if one.estimate is None or one.sensitivity is None or one.specificity is None:
        return f"{one.right} right and {one.wrong} wrong labelled answers allow no correction"
    return (
        f"{percent(one.estimate)} (95%: {percent(one.interval.low)} to {percent(one.interval.high)}); the judges "
        f"accepted {percent(one.sensitivity)} of {one.right} right answers and "
        f"{percent(1 - one.specificity)} of {one.wrong} wrong ones"
    )


def _paired(one: Comparison) -> str:
    worst = max(paired.p if paired.gains > paired.losses else 1.0 for paired in one.against)
    read = f"; with what is open read against it, {_p(worst)}" if worst > one.p * 1.0001 else ""
    return f"{_counts(one)}, {_p(one.p)}{read}"


def _counts(one: Comparison) -> str:
    missing = f", {one.missing} without a judgement of both" if one.missing else ""
    return f"{one.gains} gained and {one.losses} lost of {one.pairs}{missing}"


def _p(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def _line(one: Condition) -> str:
    return f"{one.name} (wanted: {one.wanted}; seen: {one.seen})"


def _open(rate: Rate) -> str:
    parts = [f"{count} {word}" for count, word in ((rate.split, "split"), (rate.unjudged, "unjudged")) if count]
    return f" ({', '.join(parts)})" if parts else ""
