"""From a run's plan, verdict, answers and judgements to what its report shows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from trainer.gate.checks import check_all
from trainer.gate.plan import Plan
from trainer.gate.report.figures import dollars
from trainer.gate.report.view import Asked, Cell, Checked, Compared, Group, Judged, Row, View
from trainer.gate.schema import Answer, FrozenSet, Judgement, Question
from trainer.gate.verdict import Comparison, Rate, Verdict

RULES = "The judges {names} are rules of this program, not models: they know the facts of each question, and no more."


def view(
    plan: Plan,
    verdict: Verdict,
    frozen: FrozenSet,
    answers: Mapping[str, Sequence[Answer]],
    judgements: Sequence[Judgement],
    *,
    made_at: str,
    version: str | None = None,
    notes: Mapping[str, str] | None = None,
    simulated: Mapping[str, str] | None = None,
    remarks: Sequence[str] = (),
) -> View:
    """`notes`, `simulated`: by generator. `remarks`: sentences of whoever ran it, shown at the end. `made_at`: UTC."""
    notes, simulated = notes or {}, simulated or {}
    subject = version or plan.generators[plan.candidate].get("model", plan.candidate)
    held_out = ", the sealed hold-out" if plan.holdout else ""
    return View(
        title=f"Quality gate: {subject}",
        words=(
            f"{plan.questions} frozen questions ({plan.set_name}{held_out}, sha256 {plan.set_sha256[:12]}), the same "
            f"passages for every generator; {made_at}. Plan {verdict.plan_sha256[:12]}, registered before the first "
            "request.",
        ),
        outcome=verdict.outcome,
        why=verdict.why,
        kill_fired=verdict.kill_criterion.fired,
        kill=verdict.kill_criterion.sentence,
        more=verdict.questions_needed_why,
        conditions=tuple((one.name, one.met, one.wanted, one.seen) for one in verdict.conditions),
        bar=plan.bar,
        rows=tuple(
            _row(name, plan, verdict, answers.get(name, ()), notes.get(name, ""), simulated.get(name))
            for name in plan.generators
        ),
        comparisons=tuple(_comparisons(plan, verdict)),
        judges=tuple((name, _identity(identity)) for name, identity in plan.judges.items()),
        agreement=tuple(_agreement(verdict)),
        checks=tuple(_checked(name, frozen, verdict, answers.get(name, ())) for name in plan.generators),
        groups=tuple(_groups(frozen, verdict)),
        plan=tuple(_plan(plan, verdict)),
        simulated=tuple(_simulated(plan, simulated)),
        notes=(*verdict.notes, *remarks),
        asked=tuple(_asked(frozen, plan, verdict, answers, judgements)),
    )


def _row(name: str, plan: Plan, verdict: Verdict, answers: Sequence[Answer], note: str, simulated: str | None) -> Row:
    rate, spent = verdict.generators[name], verdict.spent[name]
    texts = [answer for answer in answers if answer.text is not None]
    tokens = [answer.completion_tokens for answer in texts]
    output = sum(count for count in tokens if count is not None) if tokens and None not in tokens else None
    seconds = [answer.latency_seconds for answer in texts if answer.latency_seconds is not None]
    usd = spent.usd
    roles = (("control", plan.control), ("candidate", plan.candidate), ("live", plan.live))
    return Row(
        name=name,
        role=next((role for role, who in roles if who == name), ""),
        model=plan.generators[name].get("model", ""),
        note=note,
        accepted=rate.accepted,
        split=rate.split,
        rejected=rate.rejected,
        unjudged=rate.unjudged,
        questions=rate.n,
        low=rate.low,
        high=rate.high,
        interval_low=rate.low_interval.low,
        interval_high=rate.high_interval.high,
        answers=spent.answers,
        output_tokens=output,
        median_seconds=median(seconds) if seconds else None,
        usd=usd,
        usd_per_answer=None if usd is None or not spent.answers else usd / spent.answers,
        usd_per_1m_output_tokens=None if usd is None or not output else usd / output * 1e6,
        usd_per_accepted=verdict.cost_per_accepted.get(name),
        simulated=simulated,
    )


def _comparisons(plan: Plan, verdict: Verdict) -> Iterator[Compared]:
    pair = verdict.comparison
    least = f"a gain of at least {plan.minimum_gain:.0%} is worth having"
    yield _compared(pair, verdict, plan.minimum_gain, f"{pair.first} to {pair.second}: {_counts(pair)}; {least}.")
    if verdict.noninferiority is not None:
        pair = verdict.noninferiority.comparison
        yield _compared(pair, verdict, -verdict.noninferiority.margin, verdict.noninferiority.sentence)


def _counts(pair: Comparison) -> str:
    unjudged = f", {pair.missing} without a judgement of both" if pair.missing else ""
    return f"{pair.gains} gained and {pair.losses} lost of {pair.pairs}{unjudged}"


def _compared(pair: Comparison, verdict: Verdict, wanted: float, words: str) -> Compared:
    first, second = (verdict.outcomes[name] for name in (pair.first, pair.second))
    both = sum(first[id] == second[id] == "accepted" for id in first)
    counted = sum(first[id] != "unjudged" and second[id] != "unjudged" for id in first)
    return Compared(
        before=pair.first, after=pair.second, both=both, gains=pair.gains, losses=pair.losses,
        neither=max(counted - both - pair.gains - pair.losses, 0), p=pair.p, difference=pair.difference,
        low=pair.score_interval.low, high=pair.score_interval.high,
        bootstrap=(pair.interval.low, pair.interval.high), wanted=wanted, words=words,
    )  # fmt: skip


def _checked(name: str, frozen: FrozenSet, verdict: Verdict, answers: Sequence[Answer]) -> Checked:
    found = [one for one in check_all(frozen.questions, answers) if one.words]
    holding = [one for one in found if one.holds_facts]
    accepted = verdict.outcomes[name]
    return Checked(
        name=name,
        answerable=sum(bool(question.facts) for question in frozen.questions),
        hold_facts=len(holding),
        hold_facts_rejected=sum(accepted.get(one.question) != "accepted" for one in holding),
        uncited=sum(not one.cited and not one.refused for one in found),
        unknown_ids=sum(bool(one.unknown_ids) for one in found),
        from_nowhere=sum(bool(one.numbers or one.dates or one.names) for one in found),
        refused_wrongly=sum(one.refused and not one.refusal_right for one in found),
        answered_wrongly=sum(not one.refused and not one.refusal_right for one in found),
        too_long=sum(one.too_long for one in found),
    )


def _agreement(verdict: Verdict) -> Iterator[tuple[str, str]]:
    found = verdict.agreement
    yield "answers that both judged", f"{found.n}"
    for what, value in (("the same verdict", found.raw), ("Cohen's kappa", found.kappa), ("Gwet's AC1", found.ac1)):
        shown = (
            "not defined here" if value is None else f"{value:.1%}" if what == "the same verdict" else f"{value:.2f}"
        )
        yield what, shown
    for name, corrected in (verdict.corrected or {}).items():
        yield f"{name}, corrected for the judges' errors", _corrected(corrected)


def _corrected(one: object) -> str:
    estimate, interval = getattr(one, "estimate", None), getattr(one, "interval", None)
    if estimate is None or interval is None:
        return str(getattr(one, "sentence", "") or "cannot be corrected with this calibration")
    return f"{estimate:.1%}, 95 % {interval.low:.1%} to {interval.high:.1%}"


def _groups(frozen: FrozenSet, verdict: Verdict) -> Iterator[Group]:
    for words, rates in (("with an answer", verdict.answerable), ("without an answer", verdict.unanswerable)):
        yield from _group(words, rates)
    for label, values in verdict.by_label.items():
        if 1 < len(values) <= len(frozen.questions) // 3:  # a label of its own for each question tells nothing
            for value, rates in values.items():
                yield from _group(f"{label}: {value}", rates)


def _group(label: str, rates: Mapping[str, Rate]) -> Iterator[Group]:
    count = max((rate.n for rate in rates.values()), default=0)
    if count:
        yield Group(label, count, {name: rate.accepted for name, rate in rates.items()})


def _plan(plan: Plan, verdict: Verdict) -> Iterator[tuple[str, str]]:
    yield "hash", verdict.plan_sha256
    yield "set", f"{plan.set_name}, {plan.questions} questions, sha256 {plan.set_sha256}"
    yield "earlier verdicts from this set", str(plan.earlier_verdicts)
    for name, identity in plan.generators.items():
        yield f"generator {name}", _identity(identity)
    for name, identity in plan.judges.items():
        yield f"judge {name}", _identity(identity)
    yield "sampling", _identity({key: str(value) for key, value in plan.sampling.items()})
    for number, words in enumerate(plan.tests, 1):
        yield f"rule {number}", words


def _identity(identity: Mapping[str, str]) -> str:
    return "; ".join(f"{key}: {value}" for key, value in identity.items() if value)


def _simulated(plan: Plan, simulated: Mapping[str, str]) -> Iterator[str]:
    rules = [name for name, identity in plan.judges.items() if identity.get("kind") == "rules"]
    for name, words in simulated.items():
        yield f"{name}: {words}."
    if rules:
        yield RULES.format(names=" and ".join(rules))


def _asked(
    frozen: FrozenSet,
    plan: Plan,
    verdict: Verdict,
    answers: Mapping[str, Sequence[Answer]],
    judgements: Sequence[Judgement],
) -> Iterator[Asked]:
    by_place = {(name, one.question): one for name in plan.generators for one in answers.get(name, ())}
    said = {(one.generator, one.question, one.judge): one for one in judgements}
    found = {(one.generator, one.question): one.findings for one in check_all(frozen.questions, by_place.values())}
    for question in frozen.questions:
        cells = [
            _cell(name, plan, verdict, question, by_place.get((name, question.id)), said, found)
            for name in plan.generators
        ]
        yield Asked(
            question.id, question.question, question.reference, question.sources,
            ", ".join(f"{key} {value}" for key, value in question.labels.items()),
            tuple((passage.id, passage.text) for passage in question.passages), tuple(cells),
        )  # fmt: skip


def _cell(
    name: str,
    plan: Plan,
    verdict: Verdict,
    question: Question,
    answer: Answer | None,
    said: Mapping[tuple[str, str, str], Judgement],
    found: Mapping[tuple[str, str], tuple[str, ...]],
) -> Cell:
    judged = [said.get((name, question.id, judge)) for judge in plan.judges]
    return Cell(
        generator=name,
        text=None if answer is None else answer.text,
        error="it was not asked" if answer is None else answer.error,
        together=verdict.outcomes[name].get(question.id, "unjudged"),
        judged=tuple(Judged(one.judge, one.outcome, one.reason) for one in judged if one is not None),
        findings=found.get((name, question.id), ()),
        facts="" if answer is None else _facts(answer),
    )


def _facts(answer: Answer) -> str:
    parts = [
        answer.adapter or answer.model, answer.backend and f"on {answer.backend}",
        None if answer.completion_tokens is None else f"{answer.completion_tokens} tokens",
        None if answer.latency_seconds is None else f"{answer.latency_seconds:.1f} s",
        None if answer.usd is None else dollars(answer.usd),
        "cut off" if answer.finish_reason == "length" else None,
    ]  # fmt: skip
    return ", ".join(part for part in parts if part)
