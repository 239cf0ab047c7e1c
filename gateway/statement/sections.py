"""A statement's figures as sections of tables and words, the same for every format. Each says its basis."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from gateway.statement.crossing import Crossing
from gateway.statement.figures import Statement
from gateway.statement.period import length, utc
from gateway.statement.sections_of_money import savings_section, spend_section, unknown_section
from gateway.statement.sections_of_service import ceilings_section, decisions_section, windows_section
from gateway.statement.serving import Measured
from gateway.statement.table import Cell, Column, Document, Kind, Section, Table, percent
from gateway.statement.words import per_1m, usd

SIMULATED, STRANGER = "†", "‡"


def document(one: Statement) -> Document:
    marks = {path.name: SIMULATED for path in one.all_paths if path.simulated}
    marks |= {path.name: STRANGER for path in one.paths if path.path is None}
    footnotes = []
    if simulated := [path.name for path in one.all_paths if path.simulated]:
        footnotes.append(f"{SIMULATED} simulated, a stand-in and not the real service: {', '.join(simulated)}")
    if strangers := [path.name for path in one.paths if path.path is None]:
        footnotes.append(
            f"{STRANGER} in the ledger, and not in this policy (what it assumes of them is unknown): "
            f"{', '.join(strangers)}"
        )
    begins = ""
    if one.covers.since > one.period.since:
        begins = f" The ledger begins {utc(one.covers.since)}; of the time before nothing is known."
    return Document(
        title="What the traffic cost",
        words=[
            f"{utc(one.covers.since)} to {utc(one.covers.until)} ({length(one.covers.seconds)}). All times are "
            f"UTC.{begins}",
            "Measured: from the gateway's ledger, every request and its tokens. $ per 1M is US dollars per 1M output "
            f"tokens. Policy {one.policy_hash}.",
        ],
        sections=[
            _short(one),
            _serving(one),
            _crossover(one),
            spend_section(one),
            savings_section(one),
            ceilings_section(one),
            *windows_section(one),
            decisions_section(one),
            unknown_section(one),
        ],
        marks=marks,
        footnotes=footnotes,
    )


# -- in short ---------------------------------------------------------------------------------------------------------


def _short(one: Statement) -> Section:
    rows: list[tuple[str, Cell]] = [
        ("spent", Cell("money", one.nanousd)),
        ("$ per 1M output tokens, all paths", Cell("per_1m", one.usd_per_1m)),
        ("at this rate, a month of 730 h", Cell("money", one.nanousd_per_month)),
        ("requests", Cell("count", one.requests)),
        ("input tokens", Cell("count", one.input_tokens)),
        ("output tokens", Cell("count", one.output_tokens)),
        ("late or wrong, of those judged", Cell("ratio", one.all_judged.bad_ratio)),
    ]
    if one.budget_nanousd_per_month is not None:
        rows.insert(3, ("the budget of a month", Cell("money", one.budget_nanousd_per_month)))
    table = Table("summary", "", [Column("what", ""), Column("value", "", "cell")], rows)
    return Section("short", "In short", list(_sentences(one)), [table])


def _sentences(one: Statement) -> Iterator[str]:
    overall = one.usd_per_1m
    each = "" if overall is None else f", {per_1m(overall)} per 1M output tokens"
    month = one.nanousd_per_month
    rate = "" if month is None else f"; at this rate {usd(month)} a month"
    yield f"{one.requests:,} requests cost {usd(one.nanousd)}{each}{rate}."
    budget = one.budget_nanousd_per_month
    if budget is not None and month is not None:
        share = percent(month / budget)
        yield f"That is {share} of the budget of {usd(budget)} a month."
    for crossing in one.crossings:
        yield from _crossing_sentences(crossing)
    if one.savings is not None:
        own = {path.name: path.custom_weights for path in one.all_paths}
        for saving in one.savings.against:
            mark = _mark(simulated=saving.simulated, base_weights=not own.get(saving.priced_as, True))
            if saving.saved_nanousd is None:
                yield f"What routing saved against {saving.priced_as}{mark} alone is unknown: tokens without a price."
                continue
            amount = usd(abs(saving.saved_nanousd))
            did = f"saved {amount}" if saving.saved_nanousd >= 0 else f"cost {amount} more"
            yield f"Against all traffic on {saving.priced_as}{mark} alone, routing {did}."
    if (bad := one.all_judged.bad_ratio) is not None and (
        used := one.all_judged.budget_used(one.error_budget)
    ) is not None:
        yield f"{percent(bad)} of the judged requests were late or wrong: {percent(used)} of the error budget."
    for gap in one.not_accrued:
        price = "an unknown amount" if gap.nanousd is None else usd(gap.nanousd)
        yield (
            f"Not in these figures: {length(gap.seconds)} in which no gateway ran and {gap.backend} cost on, by the "
            f"policy's price {price}."
        )


def _crossing_sentences(one: Crossing) -> Iterator[str]:
    if one.utilization is None or one.crossover is None:
        return
    other = one.against + _mark(simulated=one.simulated, base_weights=not one.same_weights)
    if one.reachable:
        side = "above" if one.above else "below"
        best = " (a copy that is never idle, one stream)" if one.by_window else ""
        hours = f"; above it in {one.hours_above} of {one.hours} hours" if one.hours > 1 else ""
        yield (
            f"{one.box} was at {percent(one.utilization)} of its capacity, {side} its crossover with {other} at "
            f"{percent(float(one.crossover))}{best}{hours}."
        )
    else:
        yield (
            f"{one.box} can never be cheaper per token than {other} at its capacity: it would take "
            f"{float(one.crossover):.1f} times what it can do."
        )
    there = one.elsewhere_usd_per_1m
    if there is not None and one.reachable:
        whole = "In whole windows, what" if one.by_window else "What"
        yield (
            f"{whole} {one.box} served would have cost {per_1m(there)} per 1M on {other}, and cost "
            f"{per_1m(one.box_usd_per_1m)} here: {one.cheaper} is the cheaper one."
        )


def _mark(*, simulated: bool, base_weights: bool) -> str:
    notes = [*(["simulated"] if simulated else []), *(["base weights"] if base_weights else [])]
    return f" ({', '.join(notes)})" if notes else ""


# -- the serving table ------------------------------------------------------------------------------------------------


def _serving(one: Statement) -> Section:
    cost = Table(
        "serving",
        "The serving table, measured",
        [
            Column("path", "path", "path"), Column("cost_kind", "paid by"), Column("requests", "requests", "count"),
            Column("input_tokens", "input tokens", "count"), Column("output_tokens", "output tokens", "count"),
            Column("cost", "cost", "money"), Column("reservation", "$ per 1M, reservation", "per_1m"),
            Column("usage", "$ per 1M, usage", "per_1m"),
        ],
        [
            (
                path.name, PAID_BY.get(path.cost_kind or "", "unknown"), path.requests, path.input_tokens,
                path.output_tokens, None if path.price_unknown else path.nanousd, path.reservation_usd_per_1m,
                path.usage_usd_per_1m,
            )
            for path in one.paths
        ],
        [
            "Reservation basis: all dollars of the period over the tokens served, the only one to compare with the "
            "cloud. Usage basis: dollars of the busy time alone (with a request under way); it flatters what idles. "
            "For list prices both are the same.",
            "A box costs by the second, busy or idle, as long as a gateway ran; an imported model in whole billing "
            "windows, counted when they open. Requests: those that were answered; tokens and dollars: of all "
            "attempts.",
        ],
    )  # fmt: skip
    speed = Table(
        "speed",
        "How fast, and how busy",
        [
            Column("path", "path", "path"), Column("utilization", "utilization", "ratio"),
            Column("busy_share", "busy", "ratio"), Column("busy_speed", "tok/s while busy", "rate"),
            Column("stream_p50", "tok/s of a stream", "rate"), Column("ttft_p50", "TTFT p50", "seconds"),
            Column("ttft_p95", "TTFT p95", "seconds"), Column("streams", "streams", "count"),
            Column("judged", "judged", "count"), Column("in_time", "in time", "ratio"),
        ],
        [
            (
                path.name, path.utilization, path.busy_share, path.busy_tokens_per_second,
                path.speeds.stream_p50_tokens_per_second, path.speeds.ttft_p50_seconds, path.speeds.ttft_p95_seconds,
                path.speeds.ttft_count, path.judged, path.in_time / path.judged if path.judged else None,
            )
            for path in one.paths
        ],
        [
            "Utilization: output tokens over what the policy's capacity makes in the time that was paid (of a box: "
            "that was accrued). Busy: the share of that time with a request under way. tok/s while busy: all streams "
            "together. tok/s of a stream: after its first token, median. In time: of the judged requests.",
        ],
    )  # fmt: skip
    tables = [
        cost,
        speed,
        Table(
            "assumed",
            "Measured beside what the policy assumes",
            [
                Column("path", "path", "path"), Column("quantity", "what"), Column("measured", "measured", "cell"),
                Column("assumed", "assumed", "cell"), Column("difference", "difference", "factor"),
                Column("note", "the policy's figure is"),
            ],
            [row for path in one.paths if path.path is not None for row in _beside(path) if row[2].value is not None],
        ),
    ]  # fmt: skip
    return Section("serving", "What each path cost and did", [], tables)


PAID_BY = {"amortized": "the month", "window": "windows", "per_token": "the token", "provisioned": "the hour"}


def _beside(path: Measured) -> Iterator[tuple[str, str, Cell, Cell, float | None, str]]:
    assert path.path is not None
    at_full = {
        "amortized": "at 100% of its capacity",
        "window": "one stream, while active",
        "provisioned": "at 100% of its capacity",
        "per_token": "list price, for the tokens measured",
    }.get(path.cost_kind or "", "")
    of_one = "of one copy" if path.cost_kind == "window" else f"with {_streams(path)} at once"
    doubt = ", nobody measured it" if path.path.speed_assumed else ""
    price = path.assumed_usd_per_1m
    yield _row(path.name, "$ per 1M, reservation", "per_1m", path.reservation_usd_per_1m, price, at_full)
    if path.cost_kind != "per_token":
        yield _row(path.name, "$ per 1M, usage", "per_1m", path.usage_usd_per_1m, price, at_full)
    speed = path.path.max_tokens_per_second
    yield _row(path.name, "tok/s while busy", "rate", path.busy_tokens_per_second, speed, f"its most, {of_one}{doubt}")
    alone = path.path.single_stream_tokens_per_second
    yield _row(
        path.name, "tok/s of a stream, p50", "rate", path.speeds.stream_p50_tokens_per_second, alone, f"alone{doubt}"
    )
    first = path.assumed_ttft_seconds
    yield _row(path.name, "TTFT, p50", "seconds", path.speeds.ttft_p50_seconds, first, "idle, a tiny prompt")


def _streams(path: Measured) -> str:
    assert path.path is not None
    times = path.path.max_tokens_per_second / path.path.single_stream_tokens_per_second
    return "all streams" if times > 1 else "one stream"


def _row(
    name: str, what: str, kind: Kind, measured: float | Fraction | None, assumed: float | Fraction | None, note: str
) -> tuple[str, str, Cell, Cell, float | None, str]:
    ratio = float(measured) / float(assumed) if measured is not None and assumed else None
    return name, what, Cell(kind, measured), Cell(kind, assumed), ratio, note


# -- the crossover ----------------------------------------------------------------------------------------------------


def _crossover(one: Statement) -> Section:
    if not one.crossings:
        return Section(
            "crossover", "The crossover", ["No owned box was in use in this period: there is nothing to cross."]
        )
    columns = [
        Column("box", "box", "path"), Column("utilization", "was at", "ratio"), Column("box_price", "$/1M", "per_1m"),
        Column("against", "against", "path"), Column("price", "$/1M there", "per_1m"),
        Column("crossover", "crossover", "ratio"), Column("side", "the box was"),
        Column("hours", "hours", "count"), Column("hours_above", "above", "count"),
        Column("elsewhere", "same requests there", "per_1m"), Column("cheaper", "cheaper", "path"),
        Column("same_weights", "same weights", "flag"),
    ]  # fmt: skip
    rows = []
    for crossing in one.crossings:
        side = None if crossing.above is None else "above" if crossing.above else "below"
        if crossing.crossover is not None and not crossing.reachable:
            side = "never above"
        rows.append(
            (
                crossing.box, crossing.utilization, crossing.box_usd_per_1m, crossing.against,
                crossing.price_usd_per_1m, crossing.crossover, side, crossing.hours, crossing.hours_above,
                crossing.elsewhere_usd_per_1m, crossing.cheaper, crossing.same_weights,
            )
        )  # fmt: skip
    words = [
        "The crossover is the utilization above which the box is the cheaper one per token, at the policy's capacity "
        "and at the price of the other path for the box's own mix of input and output tokens: list price, or that of "
        "one stream while a copy is active, or of provisioned units that are never idle. Above 100%: never at this "
        "capacity.",
        "Same requests there: what the very requests that the box served would have cost on that path alone, whole "
        "billing windows and their idle ends included. Hours: those in which the box's cost was accrued; tokens "
        "count in the hour in which their request began.",
    ]
    return Section("crossover", "The crossover, measured", [], [Table("crossover", "", columns, rows, words)])
