"""The report as tables for people. Every figure is rounded here and nowhere else; unknown prints as unknown."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import groupby

from rich import box
from rich.markup import escape
from rich.table import Table

from gateway.economics.crossover import Crossover
from gateway.economics.decision import Cheapest
from gateway.economics.path import Price
from gateway.economics.serving import AverageCost, ServingRow
from gateway.report.contents import Report

UNKNOWN = "unknown"
WIDE_COLUMNS = 130
"""Of a terminal that shows how a path is billed, and whose weights it serves, in the serving table too."""


def money(usd: Fraction | None) -> str:
    """'$27.5', '$0.40', '$0.00123': to the digits a person compares by."""
    if usd is None:
        return UNKNOWN
    value = float(usd)
    if value >= 1000:
        return f"${value:,.0f}"
    if value >= 1:
        return f"${value:.1f}"
    if value >= 0.1 or value == 0:
        return f"${value:.2f}"
    return f"${value:.3g}"


def percent(share: Fraction | None) -> str:
    return UNKNOWN if share is None else f"{float(share) * 100:.1f}%"


def average(cost: AverageCost) -> str:
    """'$5.4 / U', '$20.8 / duty', '$0.40'."""
    over = {"utilization": " / U", "duty": " / duty", None: ""}[cost.divided_by]
    return UNKNOWN if cost.usd_per_1m_tokens is None else money(cost.usd_per_1m_tokens) + over


def tables(report: Report, width: int) -> Iterator[Table]:
    """All tables of a report. `width`: columns of the terminal; a narrow one gets fewer."""
    yield serving_table(report, wide=width >= WIDE_COLUMNS)
    if report.crossovers:
        yield crossover_table(report)
    if report.speed_ratios:
        yield speed_table(report)
    yield decision_table(report)
    if any(answer.accepted_rate is not None for answer in report.accepted_answers):
        yield accepted_table(report)
        yield ranking_table(report)


def serving_table(report: Report, *, wide: bool) -> Table:
    sources = dict.fromkeys(price_source(row.path.price) for row in report.rows if row.cost_kind is not None)
    capacity = "one stream alone" if report.capacity == "single" else "all streams together"
    mix = float(report.input_tokens_per_output_token)
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title="\n".join(
            [
                "What 1M output tokens cost on each path",
                *(escape(f"Prices: {source}") for source in sources),
            ]
        ),
        caption=(
            "Average cost. U, duty: the share of its capacity, or time, that a path is busy.\n"
            f"Capacity: {capacity}. One month = 730 h.\n"
            f"Reservation basis: all dollars of the period, here at {_share(report.utilization)} busy.\n"
            "Usage basis: dollars of the busy time alone; it flatters a box that idles.\n"
            + (f"List prices are for {mix:g} input tokens per output token." if mix else "List prices: output tokens.")
        ),
        title_justify="left",
        caption_justify="left",
    )
    for header in ("path", "cost kind", "$ per 1M", "reservation", "usage", "tok/s"):
        table.add_column(header, no_wrap=True, justify="left" if header in ("path", "cost kind") else "right")
    if wide:
        table.add_column("billed", no_wrap=True)
        table.add_column("weights", no_wrap=True)

    def add(*cells: str, billed: str, weights: str) -> None:
        table.add_row(*cells, *((billed, weights) if wide else ()))

    for row in report.rows:
        add(
            escape(row.path.name) + (" (simulated)" if row.path.simulated else ""),
            row.cost_kind or UNKNOWN,
            average(row.average),
            _exact(row.average.at(report.utilization)),
            _exact(row.average.at(Fraction(1))),
            f"{float(row.tokens_per_second):g}" + (" assumed" if row.path.speed_assumed else ""),
            billed=_billed(row),
            weights="custom" if row.path.custom_weights else "base",
        )
        if row.band is not None:
            for name, month, per_1m in (
                ("lowest", row.band.low_usd_per_month, row.band.low_usd_per_1m_tokens),
                ("highest", row.band.high_usd_per_month, row.band.high_usd_per_1m_tokens),
            ):
                end = AverageCost(per_1m, "utilization")
                flat = f"${float(month):g} a month"
                add(
                    f"  {name}", flat, average(end), _exact(end.at(report.utilization)), _exact(per_1m), "",
                    billed="", weights="",
                )  # fmt: skip
    return table


def _exact(usd_per_1m: Fraction | None) -> str:
    return UNKNOWN if usd_per_1m is None else f"{float(usd_per_1m):.4f}"


def _share(value: Fraction) -> str:
    return f"{float(value):.4g}" if value > 1 else f"{float(100 * value):.4g}%"


def price_source(price: Price) -> str:
    """'us-east-1, 2026-08-01: AWS Price List'; what is not known of a price is said."""
    where = f"{price.region or 'region not given'}, {price.as_of or 'day not given'}"
    return f"{where}: {price.source or 'source not given'}"


def _billed(row: ServingRow) -> str:
    if row.usd_per_window is not None:
        return f"${float(row.usd_per_window):.4f} a window of one copy"
    if row.usd_per_month is not None:
        span = ""
        if row.band is not None:
            span = f" (${float(row.band.low_usd_per_month):g} to ${float(row.band.high_usd_per_month):g})"
        return f"${float(row.usd_per_month):,.0f} a month flat{span}"
    return "by the token" if row.cost_kind == "per_token" else UNKNOWN


def crossover_table(report: Report) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title="Crossover: the utilization above which the box is cheaper per token",
        caption="A path billed by the hour is taken at 100% duty, its best case. Above 100% the box never wins.",
        title_justify="left",
        caption_justify="left",
    )
    for header in ("box", "against", "crossover", "over the band", "the box wins", "same weights"):
        table.add_column(header, no_wrap=True)
    for one in report.crossovers:
        table.add_row(
            escape(one.box),
            escape(one.against),
            percent(one.utilization) if one.wins is not False else "never",
            "" if one.low is None else f"{percent(one.low)} to {percent(one.high)}",
            _verdict(one),
            "yes" if one.same_weights else "no",
        )
    return table


def _verdict(one: Crossover) -> str:
    if one.wins is None:
        return UNKNOWN
    if one.wins:
        return f"above {percent(one.utilization)}"
    return "never" if one.utilization is None else f"never ({float(one.utilization):.1f} boxes)"


def speed_table(report: Report) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title="Speed of one stream against the box", title_justify="left"
    )
    for header in ("path", "against", "ratio"):
        table.add_column(header)
    for one in report.speed_ratios:
        if one.ratio <= 1:
            continue  # the same pair the other way round, or the same machine
        table.add_row(escape(one.name), escape(one.against), f"{float(one.ratio):.1f}x")
    return table


def decision_table(report: Report) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title="The cheapest path at each utilization ($ per 1M tokens; $ per accepted answer)",
        caption="Every path that is billed while idle is busy that share of its time.",
        title_justify="left",
        caption_justify="left",
    )
    for header in ("U", "custom weights", "any weights", "accepted answer, custom", "accepted answer, any"):
        table.add_column(header, no_wrap=True)
    for row in report.decision_table:
        cells = (row.per_token_custom, row.per_token, row.per_accepted_answer_custom, row.per_accepted_answer)
        table.add_row(f"{float(row.utilization) * 100:g}%", *(_cheapest(cell) for cell in cells))
    return table


def _cheapest(one: Cheapest | None) -> str:
    return UNKNOWN if one is None else f"{escape(one.name)} {money(one.usd)}"


def accepted_table(report: Report) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=f"Cost per accepted answer at {percent(report.utilization)} utilization",
        caption="$ per token x tokens per answer / accepted rate. Ranks: among the paths whose quality was measured.",
        title_justify="left",
        caption_justify="left",
    )
    for header in ("path", "accepted", "$ per 1M tokens", "rank", "$ per answer", "$ per accepted answer", "rank"):
        table.add_column(header, no_wrap=True)
    for one in report.accepted_answers:
        table.add_row(
            escape(one.path),
            "not measured" if one.accepted_rate is None else f"{float(one.accepted_rate) * 100:g}%",
            money(one.usd_per_1m_tokens),
            str(one.token_rank or ""),
            money(one.usd_per_answer),
            money(one.usd_per_accepted_answer),
            str(one.accepted_rank or ""),
        )
    return table


def ranking_table(report: Report) -> Table:
    """The two orders side by side; neighbouring utilisations at which both are the same share a line."""
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title="Cheapest first: the order by $ per token and by $ per accepted answer",
        title_justify="left",
    )
    for header in ("U", "by token", "by accepted answer", "the same"):
        table.add_column(header)
    groups = groupby(report.rankings, key=lambda one: (one.by_token, one.by_accepted_answer))
    for (by_token, by_accepted), members in groups:
        span = [f"{float(one.utilization) * 100:g}%" for one in members]
        label = span[0] if len(span) == 1 else f"{span[0]} to {span[-1]}"
        table.add_row(label, _order(by_token), _order(by_accepted), "yes" if by_token == by_accepted else "no")
    return table


def _order(places: tuple[tuple[str, ...], ...]) -> str:
    return escape(" < ".join(" = ".join(same) for same in places))
