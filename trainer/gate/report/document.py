"""A report's tables and sentences: what the terminal, Markdown and the page share. No answer's own words are in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from gateway.statement.table import Column, Document, Section, Table
from trainer.gate.report.figures import dollars_or_nothing as dollars
from trainer.gate.report.figures import percent, points
from trainer.gate.report.hostile import line
from trainer.gate.report.view import Compared, Row, View

OUTCOMES = {"pass": "passed", "fail": "failed", "undecided": "undecided"}
MARK = "†"


def document(view: View) -> Document:
    simulated = {row.name: MARK for row in view.rows if row.simulated}
    sections = (
        _kill(view), _accepted(view), _comparison(view), _cost(view), _judges(view), _checks(view), _groups(view),
        _answers(view), _plan(view),
    )  # fmt: skip
    notes = [f"{MARK} {sentence}" for sentence in view.simulated] + list(view.notes)
    return _visible(Document(view.title, view.words, [one for one in sections if one is not None], simulated, notes))


def _visible(made: Document) -> Document:
    """Without control characters, which a set's name, a label or a note could bring to a terminal or into Markdown."""

    def words(several: Sequence[str]) -> list[str]:
        return [line(one) for one in several]

    def table(one: Table) -> Table:
        columns = [replace(column, head=line(column.head)) for column in one.columns]
        rows = [[line(cell) if isinstance(cell, str) else cell for cell in row] for row in one.rows]
        return replace(one, title=line(one.title), columns=columns, rows=rows, words=words(one.words))

    sections = [replace(one, words=words(one.words), tables=[table(each) for each in one.tables])
                for one in made.sections]  # fmt: skip
    return replace(
        made, title=line(made.title), words=words(made.words), sections=sections, footnotes=words(made.footnotes)
    )


def _kill(view: View) -> Section:
    """First of all: does the tuning earn anything here?"""
    kill = f"The kill criterion fires. {view.kill}" if view.kill_fired else view.kill
    words = [kill, view.why, *([view.more] if view.more else [])]
    columns = [Column("test", "test"), Column("met", "met"), Column("wanted", "wanted"), Column("seen", "seen")]
    table = Table("conditions", "", columns, view.conditions)
    return Section("verdict", f"Verdict: {OUTCOMES.get(view.outcome, view.outcome)}", words, [table])


def _accepted(view: View) -> Section:
    columns = [
        Column("generator", "generator", "path"), Column("accepted", "accepted"), Column("share", "share", "ratio"),
        Column("interval", "95 % interval"), Column("split", "split", "count"),
        Column("rejected", "rejected", "count"), Column("unjudged", "not judged", "count"), Column("note", "note"),
    ]  # fmt: skip
    rows = [
        [
            row.name, f"{row.accepted} of {row.questions}", row.low, span(row.interval_low, row.interval_high),
            row.split, row.rejected, row.unjudged, _note(row),
        ]
        for row in view.rows
    ]  # fmt: skip
    words = (
        "Accepted: by both judges, of all questions. Split: the judges differ. The interval reaches from the lower end "
        "of the accepted share's to the upper end of the share with every split, and every answer that was not judged, "
        "taken as accepted (Wilson).",
    )
    said = [f"The bar is {percent(view.bar)}, registered before the first answer."]
    return Section("accepted", "Accepted answers", said, [Table("accepted", "", columns, rows, words)])


def _note(row: Row) -> str:
    parts = [row.role if row.role != row.name else "", row.note, row.simulated or ""]
    return "; ".join(part for part in parts if part)


def _comparison(view: View) -> Section | None:
    if not view.comparisons:
        return None
    columns = [
        Column("from", "from"), Column("to", "to"), Column("gained", "gained", "count"),
        Column("lost", "lost", "count"), Column("difference", "difference, points"),
        Column("interval", "95 % interval"), Column("bootstrap", "by paired bootstrap"), Column("wanted", "wanted"),
        Column("p", "exact McNemar p"),
    ]  # fmt: skip
    rows = [
        [
            one.before, one.after, one.gains, one.losses, points(one.difference), span(one.low, one.high, points),
            span(*one.bootstrap, points), f"at least {points(one.wanted)}", _p(one),
        ]
        for one in view.comparisons
    ]  # fmt: skip
    table = Table("comparison", "", columns, rows)
    return Section("comparison", "Question by question", [one.words for one in view.comparisons], [table])


def _p(one: Compared) -> str | None:
    return None if one.p is None else f"{one.p:.4f}" if one.p >= 0.0001 else "below 0.0001"


def _cost(view: View) -> Section | None:
    known = [row for row in view.rows if row.usd is not None]
    if not known and all(row.output_tokens is None for row in view.rows):
        return None
    by_token = _ranks({row.name: row.usd_per_1m_output_tokens for row in view.rows})
    by_accepted = _ranks({row.name: row.usd_per_accepted for row in view.rows})
    columns = [
        Column("generator", "generator", "path"), Column("tokens", "tokens an answer"),
        Column("seconds", "median", "seconds"), Column("per_1m", "$ per 1M output tokens"),
        Column("rank_by_token", "rank", "count"), Column("per_answer", "$ per answer"),
        Column("per_accepted", "$ per accepted answer"), Column("rank_by_accepted", "rank", "count"),
    ]  # fmt: skip
    rows = [
        [
            row.name, _tokens(row), row.median_seconds, dollars(row.usd_per_1m_output_tokens), by_token.get(row.name),
            dollars(row.usd_per_answer), dollars(row.usd_per_accepted), by_accepted.get(row.name),
        ]
        for row in view.rows
    ]  # fmt: skip
    said = list(_decision(view.rows)) if known else ["What the answers cost is not known: the settings name no ledger."]
    return Section("cost", "Which path is the cheaper one", said, [Table("cost", "", columns, rows)])


def _decision(rows: Sequence[Row]) -> Iterator[str]:
    tokens = [row for row in rows if row.usd_per_1m_output_tokens is not None]
    accepted = [row for row in rows if row.usd_per_accepted is not None]
    if tokens:
        names, least = _least({row.name: row.usd_per_1m_output_tokens or 0 for row in tokens})
        yield f"By token the cheapest is {names}: {dollars(least)} per 1M output tokens."
    if accepted:
        names, least = _least({row.name: row.usd_per_accepted or 0 for row in accepted})
        yield f"By accepted answer it is {names}: {dollars(least)}."
    none = [row.name for row in rows if row.usd is not None and not row.accepted]
    if none:
        yield f"No answer of {', '.join(none)} was accepted: an accepted one has no price there."


def _least(costs: dict[str, float]) -> tuple[str, float]:
    least = min(costs.values())
    return " and ".join(name for name, cost in costs.items() if cost == least), least


def _ranks(costs: dict[str, float | None]) -> dict[str, int]:
    known = {name: cost for name, cost in costs.items() if cost is not None}
    return {name: 1 + sum(other < cost for other in known.values()) for name, cost in known.items()}


def _tokens(row: Row) -> str | None:
    return None if row.output_tokens is None or not row.answers else f"{row.output_tokens / row.answers:.1f}"


def _judges(view: View) -> Section:
    who = Table("judges", "", [Column("judge", "judge"), Column("is", "what it is")], view.judges)
    agreed = Table("agreement", "How far they agree", [Column("what", ""), Column("value", "")], view.agreement)
    return Section("judges", "The judges", ["Two errors that are made together look like agreement."], [who, agreed])


def _checks(view: View) -> Section:
    columns = [
        Column("generator", "generator", "path"), Column("hold_facts", "holds every fact"),
        Column("hold_facts_rejected", "of these not accepted", "count"), Column("uncited", "cites nothing", "count"),
        Column("unknown_ids", "cites what it was not shown", "count"),
        Column("from_nowhere", "number, date or name from nowhere", "count"),
        Column("refused_wrongly", "refused, though there is an answer", "count"),
        Column("answered_wrongly", "answered, though there is none", "count"), Column("too_long", "too long", "count"),
    ]  # fmt: skip
    rows = [
        [
            one.name, f"{one.hold_facts} of {one.answerable}", one.hold_facts_rejected, one.uncited, one.unknown_ids,
            one.from_nowhere, one.refused_wrongly, one.answered_wrongly, one.too_long,
        ]
        for one in view.checks
    ]  # fmt: skip
    said = [
        "Counted by a program, and no part of the verdict. An answer that holds every fact and is not accepted has a "
        "wrong form or citation, or says more: there the judges' rules decide, and not what the model knows."
    ]
    return Section("checks", "What the checks found", said, [Table("checks", "", columns, rows)])


def _groups(view: View) -> Section | None:
    if not view.groups:
        return None
    names = [row.name for row in view.rows]
    columns = [
        Column("questions", "questions"), Column("count", "how many", "count"),
        *(Column(f"accepted_{number}", f"{name}, accepted") for number, name in enumerate(names)),
    ]  # fmt: skip
    rows = [
        [group.label, group.questions, *(f"{group.accepted.get(name, 0)} of {group.questions}" for name in names)]
        for group in view.groups
    ]
    said = ["Groups are small: they say where to look, and decide nothing."]
    return Section("groups", "By kind of question", said, [Table("groups", "", columns, rows)])


def _answers(view: View) -> Section:
    said = f"All {len(view.asked)} questions, with what every generator answered and what each judge said of it."
    return Section("answers", "Every answer", [said])


def _plan(view: View) -> Section:
    columns = [Column("what", "what"), Column("value", "as it was registered")]
    said = ["Registered before the first request; a run whose plan was changed is refused."]
    return Section("plan", "The plan", said, [Table("plan", "", columns, view.plan)])


def span(low: float, high: float, shown: Callable[[float], str] = percent) -> str:
    return f"{shown(low)} to {shown(high)}"
