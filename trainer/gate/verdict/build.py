"""Everything that a verdict holds, from a plan, its answers and their judgements. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from trainer.gate.plan import Plan
from trainer.gate.schema import Answer, Judgement, Question
from trainer.gate.statistics.agreement import agreement
from trainer.gate.statistics.correction import Corrected, corrected
from trainer.gate.statistics.paired import counted, mcnemar_exact, paired_bootstrap, score_bound, score_interval
from trainer.gate.statistics.proportions import clopper_pearson_lower
from trainer.gate.verdict import words
from trainer.gate.verdict.more import more
from trainer.gate.verdict.rule import Decision, Evidence, Readings, decide
from trainer.gate.verdict.schema import Comparison, NonInferiority, Paired, Rate, Verdict
from trainer.gate.verdict.spending import spent
from trainer.gate.verdict.tally import Tally

SPLITS: tuple[Literal["rejected", "accepted"], ...] = ("rejected", "accepted")
ANSWERS: Mapping[str, Literal["not worse", "worse", "open"]] = {"yes": "not worse", "no": "worse", "open": "open"}


class Calibration(msgspec.Struct, frozen=True):
    """How both judges together did on answers that people labelled. Accepted: by both; all else is not accepted."""

    right: int
    right_accepted: int
    wrong: int
    wrong_rejected: int


def verdict(
    plan: Plan,
    questions: Sequence[Question],
    answers: Mapping[str, Sequence[Answer]],
    judgements: Sequence[Judgement],
    calibration: Calibration | None = None,
) -> Verdict:
    """Raises ValueError for answers, judgements or a calibration that do not belong to the plan, or are there twice.

    Answers and judgements that are missing raise nothing: they are unjudged, and can only make a verdict undecided.
    """
    if (calibration is None) != (plan.calibration_sha256 is None):
        there = (
            "no labelled answers, and counts of some were given" if calibration else "labelled answers without counts"
        )
        raise ValueError(f"this calibration does not belong to the plan, which has {there}")
    tally = Tally(plan, questions, answers, judgements)
    rates = tally.rates(questions)
    candidate, control = rates[plan.candidate], rates[plan.control]
    adjusted = None if calibration is None else {name: _corrected(rate, calibration) for name, rate in rates.items()}
    seen = _evidence(plan, tally, rates, adjusted)
    decision = decide(plan, seen)

    comparison = _comparison(plan, tally, plan.control, plan.candidate)
    noninferiority = _noninferiority(plan, tally, decision)
    killed = words.kill(
        plan,
        decision,
        control,
        clopper_pearson_lower(control.accepted, control.n, plan.alpha),
        max(one.upper for one in comparison.favour),
    )
    lines = tuple(
        words.conditions(
            plan,
            decision,
            control,
            candidate,
            comparison,
            noninferiority.comparison if noninferiority else None,
            adjusted[plan.candidate] if adjusted else None,
        )
    )
    needed, needed_why = more(plan, seen, decision)
    costs = {
        name: spent(tally.answers[name].values(), plan.questions, rates[name].accepted) for name in plan.generators
    }
    unanswerable = [question for question in questions if not question.answerable]
    heard = {one.judge for one in judgements if one.outcome != "unjudged"}
    return Verdict(
        outcome=decision.outcome,
        why=words.why(plan, decision, candidate, comparison, killed, lines),
        plan_sha256=plan.sha256(),
        set_name=plan.set_name,
        set_sha256=plan.set_sha256,
        holdout=plan.holdout,
        questions=plan.questions,
        control=plan.control,
        candidate=plan.candidate,
        live=plan.live,
        bar=plan.bar,
        alpha=plan.alpha,
        minimum_gain=plan.minimum_gain,
        margin=plan.margin,
        least_accepted=plan.least_accepted,
        generators=rates,
        comparison=comparison,
        noninferiority=noninferiority,
        kill_criterion=killed,
        conditions=lines,
        agreement=agreement(*tally.outcomes(list(plan.generators))),
        agreement_by_generator={name: agreement(*tally.outcomes([name])) for name in plan.generators},
        questions_needed=needed,
        questions_needed_why=needed_why,
        cost_per_accepted={name: one.usd_per_accepted for name, one in costs.items()},
        spent=costs,
        by_label=_by_label(tally, questions),
        answerable=_rates(tally, [question for question in questions if question.answerable]),
        unanswerable=_rates(tally, unanswerable),
        corrected=adjusted,
        outcomes=tally.standings,
        open=tuple(tally.open()),
        notes=tuple(
            words.notes(
                plan,
                seen,
                rates,
                len(unanswerable),
                _sharing(questions),
                [judge for judge in plan.judges if judge not in heard],
            )
        ),
    )


def _evidence(plan: Plan, tally: Tally, rates: dict[str, Rate], adjusted: dict[str, Corrected] | None) -> Evidence:
    candidate, control = rates[plan.candidate], rates[plan.control]
    live = plan.live
    return Evidence(
        questions=candidate.n,
        accepted=candidate.accepted,
        possible=candidate.accepted + candidate.split + candidate.unjudged,
        control_accepted=control.accepted,
        control_possible=control.accepted + control.split + control.unjudged,
        against=tally.readings(plan.control, plan.candidate, for_second=False),
        favour=tally.readings(plan.control, plan.candidate, for_second=True),
        live_against=None if live is None else tally.readings(live, plan.candidate, for_second=False),
        live_favour=None if live is None else tally.readings(live, plan.candidate, for_second=True),
        calibrated=adjusted is not None,
        corrected=None if adjusted is None else adjusted[plan.candidate].estimate,
    )


def _comparison(plan: Plan, tally: Tally, first: str, second: str) -> Comparison:
    pairs = tally.judged_pairs(first, second)
    gains, losses = counted(pairs)
    return Comparison(
        first=first,
        second=second,
        pairs=len(pairs),
        missing=plan.questions - len(pairs),
        gains=gains,
        losses=losses,
        difference=(gains - losses) / len(pairs) if pairs else 0.0,
        p=mcnemar_exact(gains, losses),
        interval=paired_bootstrap(pairs),
        score_interval=score_interval(gains, losses, len(pairs)),
        against=_paired(plan, tally.readings(first, second, for_second=False)),
        favour=_paired(plan, tally.readings(first, second, for_second=True)),
    )


def _paired(plan: Plan, readings: Readings) -> tuple[Paired, ...]:
    count = plan.questions
    return tuple(
        Paired(
            splits=splits,
            pairs=count,
            gains=gains,
            losses=losses,
            difference=(gains - losses) / count,
            p=mcnemar_exact(gains, losses),
            lower=score_bound(gains, losses, count, plan.alpha, -1),
            upper=score_bound(gains, losses, count, plan.alpha, 1),
        )
        for splits, (gains, losses) in zip(SPLITS, readings, strict=True)
    )


def _noninferiority(plan: Plan, tally: Tally, decision: Decision) -> NonInferiority | None:
    if plan.live is None or decision.live is None:
        return None
    comparison = _comparison(plan, tally, plan.live, plan.candidate)
    answer = ANSWERS[decision.live]
    return NonInferiority(comparison, plan.margin, answer, words.not_worse(plan, answer, comparison))


def _corrected(rate: Rate, calibration: Calibration) -> Corrected:
    return corrected(
        rate.accepted,
        rate.n,
        right=calibration.right,
        right_accepted=calibration.right_accepted,
        wrong=calibration.wrong,
        wrong_rejected=calibration.wrong_rejected,
    )


def _rates(tally: Tally, questions: Sequence[Question]) -> dict[str, Rate]:
    return tally.rates(questions) if questions else {}


def _by_label(tally: Tally, questions: Sequence[Question]) -> dict[str, dict[str, dict[str, Rate]]]:
    kept: dict[str, dict[str, list[Question]]] = {}
    for question in questions:
        for label, value in question.labels.items():
            kept.setdefault(label, {}).setdefault(value, []).append(question)
    return {
        label: {value: tally.rates(some) for value, some in sorted(values.items())} for label, values in kept.items()
    }


def _sharing(questions: Sequence[Question]) -> int:
    """Questions that rest on a passage that another one rests on too."""
    rests = Counter(source for question in questions for source in set(question.sources))
    return sum(any(rests[source] > 1 for source in question.sources) for question in questions)
