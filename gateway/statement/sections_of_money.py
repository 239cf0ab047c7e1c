"""Sections: where the money went, what routing saved, and what these figures do not know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.statement.figures import Statement
from gateway.statement.period import length, stamp, utc
from gateway.statement.savings import Saving
from gateway.statement.spend import Share
from gateway.statement.table import Column, Section, Table
from gateway.statement.words import usd


def spend_section(one: Statement) -> Section:
    return Section("spend", "Where the money went", [], [_by_path(one), _over_time(one), *_shared(one)])


def _by_path(one: Statement) -> Table:
    whole = one.nanousd
    columns = [
        Column("path", "path", "path"), Column("cost", "cost", "money"), Column("share", "share", "ratio"),
        Column("requests", "requests", "count"), Column("output_tokens", "output tokens", "count"),
        Column("windows", "windows", "count"), Column("unpriced_tokens", "unpriced tokens", "count"),
    ]  # fmt: skip
    rows: list[Sequence[object]] = [
        (
            path.name, None if path.price_unknown else path.nanousd, path.nanousd / whole if whole else None,
            path.requests, path.output_tokens, path.windows or None, path.unpriced_tokens or None,
        )
        for path in one.paths
    ]  # fmt: skip
    windows, unpriced = sum(path.windows for path in one.paths), one.unpriced_tokens
    requests = sum(path.requests for path in one.paths)
    rows.append(
        ("all", whole, 1 if whole else None, requests, one.output_tokens, windows or None, unpriced or None)
    )  # fmt: skip
    return Table("by_path", "By path", columns, rows, total=True)


def _over_time(one: Statement) -> Table:
    step = one.covers.step_seconds
    names = [path.name for path in one.paths if any(step.nanousd.get(path.name) for step in one.steps)]
    head = {86_400: "day", 3600: "hour"}.get(step, "from")
    most = max([sum(at.nanousd.values()) for at in one.steps], default=0)
    columns = [
        Column("from", f"{head} (UTC)"),
        *(Column(f"{name}", name, "money") for name in names),
        Column("all_paths", "all", "money"),
        Column("output_tokens", "output tokens", "count"),
        Column("bar", "", "bar"),
    ]
    rows = []
    for at in one.steps:
        spent = sum(at.nanousd.values())
        rows.append(
            (
                stamp(at.at, step), *(at.nanousd.get(name, 0) for name in names), spent,
                sum(at.output_tokens.values()), spent / most if most else 0,
            )
        )  # fmt: skip
    words = [
        "A box's cost by the second, windows whole when they opened, tokens when their request began."
        + (" The first and the last may be cut by the period." if len(rows) > 1 else "")
    ]
    return Table("over_time", f"By {'time' if head == 'from' else head}", columns, rows, words, folded=True)


def _shared(one: Statement) -> Iterator[Table]:
    words = [
        "By the token: exact, at list price. Time, shared: what paths that are paid by time (boxes, windows, "
        "provisioned units) cost, shared out by the output tokens that they served. The sums are the cost of all "
        "paths."
    ]
    yield _shares("by_key", "By API key", "key", one.by_key, words)
    yield _shares("by_alias", "By alias (the model that was asked for)", "alias", one.by_alias, [])


def _shares(name: str, title: str, head: str, found: Sequence[Share], words: Sequence[str]) -> Table:
    columns = [
        Column(head, head), Column("requests", "requests", "count"), Column("input_tokens", "input", "count"),
        Column("output_tokens", "output", "count"), Column("token_cost", "by the token", "money"),
        Column("time_cost", "time, shared", "money"), Column("cost", "cost", "money"),
        Column("share", "share", "ratio"),
    ]  # fmt: skip
    whole = sum(share.nanousd for share in found)
    rows: list[Sequence[object]] = [
        (
            share.name, share.requests, share.input_tokens, share.output_tokens, share.token_nanousd,
            share.time_nanousd, share.nanousd, share.nanousd / whole if whole else None,
        )
        for share in found
    ]  # fmt: skip
    rows.append(
        (
            "all", *(sum(getattr(share, column.name) for share in found) for column in columns[1:4]),
            sum(share.token_nanousd for share in found), sum(share.time_nanousd for share in found), whole,
            1 if whole else None,
        )
    )  # fmt: skip
    return Table(name, title, columns, rows, words, total=True)


# -- savings ----------------------------------------------------------------------------------------------------------


def savings_section(one: Statement) -> Section:
    title = "What routing saved"
    if one.savings is None:
        why = (
            f"This ledger (schema version {one.abilities.version}) does not hold what traffic would have cost elsewhere"
        )
        if one.abilities.counterfactuals:
            why = "All traffic of this period is older than the ledger's record of what it would have cost elsewhere"
        return Section("savings", title, [f"{why}: savings cannot be told. A gateway of this version writes it down."])
    if not (one.savings.against or one.savings.pairs):
        return Section("savings", title, ["Nothing was served that has a known price elsewhere."])
    words = [
        "What it would have cost elsewhere: by the token, the list price; an imported model, whole billing windows "
        "as the same calls would have opened them there; provisioned units, their price at their own speed, never "
        "idle. An owned box has no such price: its month is paid in any case. Below 0: it cost more than that path "
        "alone would have.",
    ]
    if one.unpriced_tokens:
        words.append(
            f"{one.unpriced_tokens:,} tokens were served at an unknown price: what they cost is in no figure here, and "
            "nothing is said to be saved where they count."
        )
    if one.savings.period.since > one.covers.since:
        words.append(f"Both sides from {utc(one.savings.period.since)} on: before, nothing was priced elsewhere.")
    own = {path.name: path.custom_weights for path in one.all_paths}
    against = Table(
        "saved_against",
        "All traffic, against each path alone",
        [
            Column("path", "on this path alone", "path"), Column("elsewhere", "it would have cost", "money"),
            Column("cost", "it cost", "money"), Column("saved", "saved", "signed"), Column("share", "of that", "ratio"),
            Column("weights", "weights there"),
        ],
        [
            (
                saving.priced_as, saving.elsewhere_nanousd, saving.nanousd, saving.saved_nanousd, _share(saving),
                {True: "your own", False: "base", None: "unknown"}[own.get(saving.priced_as)],
            )
            for saving in one.savings.against
        ],
        [
            "It cost: all paths together, boxes included; windows whole when they open, while elsewhere they accrue "
            "by the second. A path with base weights cannot answer what needs your own."
        ],
    )  # fmt: skip
    pairs = Table(
        "saved_by_pair",
        "Path by path: what one served, priced as another",
        [
            Column("served_by", "served by", "path"), Column("priced_as", "priced as", "path"),
            Column("output_tokens", "output tokens", "count"), Column("elsewhere", "it would have cost", "money"),
            Column("cost", "it cost", "money"), Column("saved", "saved", "signed"), Column("share", "of that", "ratio"),
            Column("same_weights", "same weights", "flag"),
        ],
        [
            (
                saving.served_by, saving.priced_as, saving.output_tokens, saving.elsewhere_nanousd, saving.nanousd,
                saving.saved_nanousd, _share(saving), saving.same_weights,
            )
            for saving in one.savings.pairs
        ],
        [
            "It cost: all dollars of the path that served it (reservation basis). The rows do not add up to the "
            "table above: there all traffic shares the windows of one path."
        ],
    )  # fmt: skip
    return Section("savings", title, words, [table for table in (against, pairs) if table.rows])


def _share(saving: Saving) -> float | None:
    """How much cheaper; a loss many times the price says enough in dollars."""
    return saving.ratio if saving.ratio is not None and saving.ratio >= 0 else None


# -- what is not known ------------------------------------------------------------------------------------------------


def unknown_section(one: Statement) -> Section:
    words = list(_unknown(one))
    tables = []
    if unsure := [path for path in one.paths if path.estimated or path.missing or path.unpriced_tokens]:
        tables.append(
            Table(
                "unsure",
                "Tokens that are not sure, or have no price",
                [
                    Column("path", "path", "path"), Column("estimated_attempts", "attempts estimated", "count"),
                    Column("unsure_tokens", "their tokens", "count"), Column("share", "of its tokens", "ratio"),
                    Column("missing_attempts", "attempts without usage", "count"),
                    Column("unpriced_tokens", "unpriced tokens", "count"),
                ],
                [
                    (
                        path.name, path.estimated, path.unsure_tokens,
                        path.unsure_tokens / tokens if (tokens := path.input_tokens + path.output_tokens) > 0 else None,
                        path.missing, path.unpriced_tokens,
                    )
                    for path in unsure
                ],
                [
                    "Estimated: the stream was cut before its usage came; its events were counted. Without usage: it "
                    "may be billed, and nobody told for how much. Unpriced: in no figure of money."
                ],
            )
        )  # fmt: skip
    if one.not_accrued:
        tables.append(
            Table(
                "not_accrued",
                "Time in nobody's books",
                [
                    Column("path", "path", "path"), Column("gaps", "gaps", "count"),
                    Column("not_accrued_hours", "hours", "rate"), Column("cost", "it cost in them", "money"),
                    Column("longest_since", "longest, from", "moment"), Column("longest_until", "to", "moment"),
                ],
                [
                    (gap.backend, gap.gaps, gap.seconds / 3600, gap.nanousd, *gap.longest)
                    for gap in one.not_accrued
                ],
                [
                    "No gateway ran, so nobody wrote it down; the box costs on. Its price here is the policy's, and "
                    "is in no other figure of this statement."
                ],
            )
        )  # fmt: skip
    if not words and not tables:
        words = ["Every token of this period was counted exactly and has a price, and no time is missing."]
    return Section("unknown", "What is not known", words, tables)


def _unknown(one: Statement) -> Iterator[str]:
    able = one.abilities
    if not able.whole:
        missing = [
            *(["dollars of the busy time (usage basis)"] if not able.busy else []),
            *(["what traffic would have cost elsewhere (savings)"] if not able.counterfactuals else []),
            *(["which answers were wrong, and which requests were turned away"] if not able.verdicts else []),
        ]
        yield (
            f"The ledger is of schema version {able.version}. It does not hold: {'; '.join(missing)}. A gateway of "
            "this version adds them for new traffic; this report changed nothing in the file."
        )
    if one.busy_from is not None:
        yield f"Busy time was written down only from {utc(one.busy_from)} on: the usage basis is left out."
    old = one.all_judged.by_time_alone
    if able.verdicts and old:
        yield f"{old:,} requests are older than verdicts: judged by time alone, none of them counts as wrong."
    for path in one.paths:
        if path.covered.doubled_seconds > 60:
            yield (
                f"Two gateways wrote this ledger at the same time for {length(path.covered.doubled_seconds)}, and "
                f"each counted {path.name} as its own: its cost of that time is in these figures twice."
            )
    for path in one.paths:
        if path.carried_nanousd:
            yield (
                f"{path.name} was up in windows that had opened before this period: {usd(path.carried_nanousd)} of "
                "them fell into it, and are in the sums of the time before. What it served then has no cost here."
            )
    for path in one.paths:
        if path.price_unknown:
            yield f"{path.name} has no known price: its {path.unpriced_tokens:,} tokens are in no figure of money."
    timed = [path for path in one.paths if path.time_nanousd and not path.output_tokens]
    for path in timed:
        yield f"{path.name} cost {usd(path.time_nanousd)} and served no tokens: it has no $ per 1M."
    if one.calls_without_operation:
        yield (
            f"{one.calls_without_operation:,} attempts go with no request of an application: warm-up calls of the "
            "gateway, or it was killed before it wrote the request down."
        )
    simulated = sum(path.nanousd for path in one.paths if path.simulated)
    if simulated:
        of_all = f" of {usd(one.nanousd)}" if simulated != one.nanousd else ", all of it,"
        yield f"{usd(simulated)}{of_all} is of simulated paths: nobody will send a bill for it."
