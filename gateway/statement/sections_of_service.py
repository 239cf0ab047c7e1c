"""Sections: ceilings kept and missed, billing windows and how full they were, where requests went and should go."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.economics.decision import Cheapest
from gateway.report.tables import money
from gateway.statement.ceilings import Judged
from gateway.statement.figures import Statement
from gateway.statement.fullness import emptiest
from gateway.statement.table import Column, Section, Table, percent, three_digits
from gateway.statement.words import usd


def ceilings_section(one: Statement) -> Section:
    title = "Latency ceilings"
    whole = one.all_judged
    if not whole.judged:
        return Section("ceilings", title, ["No request of this period was answered, late or turned away."])
    columns = [
        Column("alias", "alias"), Column("requests", "requests", "count"), Column("judged", "judged", "count"),
        Column("in_time", "in time", "count"), Column("late", "late", "count"), Column("wrong", "wrong", "count"),
        Column("bad", "late or wrong", "ratio"), Column("budget_used", "of the error budget", "ratio"),
    ]  # fmt: skip

    def cells(told: Judged) -> tuple[object, ...]:
        return (
            told.requests, told.judged, told.in_time, told.late, told.wrong, told.bad_ratio,
            told.budget_used(one.error_budget),
        )  # fmt: skip

    rows = [(told.name, *cells(told)) for told in one.ceilings]
    words = [
        "Judged: requests that were answered, timed out, or were turned away because nobody would have been in time. "
        "One without a ceiling is in time. Late: those that were turned away or timed out, too. Wrong: answered "
        f"below the quality they need. The error budget of the policy is {percent(one.error_budget)} of the judged "
        "requests."
    ]
    tables = [Table("ceilings", "By alias", columns, [*rows, ("all", *cells(whole))], words, total=True)]
    if one.worst_hours:
        tables.append(
            Table(
                "worst_hours",
                "The worst hours",
                [Column("hour", "hour (UTC)", "moment"), *columns[1:6], Column("bad", "late or wrong", "ratio")],
                [(hour, *cells(told)[:-1]) for hour, told in one.worst_hours],
            )
        )
    return Section("ceilings", title, [], tables)


def windows_section(one: Statement) -> Iterator[Section]:
    if not one.windows:
        return
    summary = Table(
        "windows",
        "Billing windows opened in the period",
        [
            Column("path", "path", "path"), Column("windows", "windows", "count"), Column("cost", "cost", "money"),
            Column("at_once", "at once, most", "count"), Column("calls", "calls", "count"),
            Column("output_tokens", "output tokens", "count"), Column("price", "$/1M in them", "per_1m"),
            Column("busy", "busy", "ratio"), Column("full", "full", "ratio"),
        ],
        [
            (
                windows.backend, len(windows.windows), windows.nanousd, windows.most_at_once, windows.calls,
                windows.output_tokens, windows.usd_per_1m, windows.busy_share, windows.full,
            )
            for windows in one.windows
        ],
        [
            "Busy: the share of their time with a call under way. Full: output tokens over what one copy could have "
            "made, at the policy's capacity. A call counts in the window in which it began; where several copies "
            "were up it is placed on the first with room, since no API tells which one it was."
        ],
    )  # fmt: skip
    by_calls = Table(
        "windows_by_calls",
        "By the calls in them",
        [
            Column("path", "path", "path"), Column("calls", "calls"), Column("windows", "windows", "count"),
            Column("share", "of the windows", "ratio"), Column("cost", "cost", "money"),
        ],
        [
            (windows.backend, calls, count, count / len(windows.windows), cost)
            for windows in one.windows
            for calls, count, cost in windows.by_calls
        ],
    )  # fmt: skip
    rows = []
    for filled in emptiest(one.windows):
        window, fill = filled.window, filled.fill
        rows.append(
            (
                window.backend, window.opened_at, window.copy, window.number, window.nanousd, fill.calls,
                fill.output_tokens, fill.busy_seconds, filled.full, filled.usd_per_1m,
            )
        )  # fmt: skip
    least = Table(
        "emptiest_windows",
        "The emptiest windows",
        [
            Column("path", "path", "path"), Column("opened_at", "opened", "moment"), Column("copy", "copy", "count"),
            Column("number", "number", "count"), Column("cost", "cost", "money"), Column("calls", "calls", "count"),
            Column("output_tokens", "output tokens", "count"), Column("busy", "busy", "seconds"),
            Column("full", "full", "ratio"), Column("price", "$/1M", "per_1m"),
        ],
        rows,
        ["Number: which window of its copy. One without a call is the idle end of a copy: it is billed until it goes."],
    )  # fmt: skip
    none = [(windows.backend, windows.by_calls[0]) for windows in one.windows if windows.by_calls[0][1]]
    words = [f"{count} windows of {name} held no call at all and cost {usd(cost)}." for name, (_, count, cost) in none]
    yield Section("windows", "Billing windows, and how full they were", words, [summary, by_calls, least])


def decisions_section(one: Statement) -> Section:
    whole = sum(routed.requests for routed in one.reasons)
    reasons = Table(
        "reasons",
        "Where requests went, and why",
        [
            Column("reason", "reason"), Column("path", "path", "path"), Column("requests", "requests", "count"),
            Column("share", "share", "ratio"), Column("held", "held first", "count"),
            Column("output_tokens", "output tokens", "count"), Column("bad", "late or wrong", "ratio"),
        ],
        [
            (
                routed.reason, routed.backend, routed.requests, routed.requests / whole if whole else None, routed.held,
                routed.output_tokens, routed.bad / routed.judged if routed.judged else None,
            )
            for routed in one.reasons
        ],
    )  # fmt: skip
    found = one.decisions
    here = {share: [name for name, at in found.here if at == share] for _, share in found.here}
    rows = []
    for row in found.rows:
        boxes = here.get(row.utilization, [])
        cheapest = (row.per_token_custom, row.per_token, row.per_accepted_answer_custom, row.per_accepted_answer)
        rows.append(
            (row.utilization, *(_named(one) for one in cheapest), f"<- {', '.join(boxes)} here" if boxes else None)
        )
    speeds = ", ".join(f"{name} {three_digits(speed)}" for name, speed in found.measured)
    words = [
        "$ per 1M output tokens; $ per accepted answer. Busy: the share of its time that each path which is billed "
        f"while idle is busy as it was in this period. Speeds measured, in tok/s while busy: {speeds or 'none'}."
        + (f" At one stream, of the policy: {', '.join(found.assumed)}." if found.assumed else "")
        + f" List prices for {float(found.mix):.2f} input tokens with each output token, as measured."
    ]
    table = Table(
        "decision",
        "The cheapest path by how busy paths are, at the speeds measured",
        [
            Column("busy", "busy", "ratio"), Column("own", "your own weights"), Column("any", "any weights"),
            Column("accepted_own", "accepted answer, own"), Column("accepted_any", "accepted answer, any"),
            Column("here", ""),
        ],
        rows,
        words,
    )  # fmt: skip
    return Section("decisions", "Where requests went, and where they are cheapest", [], [reasons, table])


def _named(one: Cheapest | None) -> str | None:
    return None if one is None else f"{one.name} {money(one.usd)}"
