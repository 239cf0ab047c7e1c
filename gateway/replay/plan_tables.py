"""A plan as a table and sentences for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.markup import escape
from rich.table import Table

from gateway.replay.plan import Plan, Row
from gateway.replay.statistics import LEAST_DAYS


def plan_table(plan: Plan) -> Table:
    days = len(plan.today.result.daily.usd)
    over = (
        f"Changes with their 95% interval: paired Student's t over {days} days."
        if days >= LEAST_DAYS
        else f"No intervals: they are taken over days, {LEAST_DAYS} at least, and this is {days} whole days."
    )
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=f"What if, simulated: {escape(plan.title)}",
        caption=f"A month is 730 h. ! above the error budget of {plan.error_budget * 100:g}% bad. {over}\n"
        "The load stays what it is today, whatever the boxes can do.",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("variation", no_wrap=True)
    for header in ("$ a month", "by the month", "by windows", "by the token", "bad"):
        table.add_column(header, no_wrap=True, justify="right")
    table.add_column("change against today", no_wrap=True)
    for row in plan.rows:
        style = "bold green" if row is plan.cheapest else ""
        table.add_row(escape(row.name), *_cells(row), style=style)
    return table


def _cells(row: Row) -> Iterator[str]:
    one = row.result
    yield f"{one.usd_per_month:,.0f}"
    yield f"{sum(place.flat_usd_per_month for place in one.backends):,.0f}"
    yield f"{sum(place.window_usd_per_month for place in one.backends):,.0f}"
    yield f"{sum(place.token_usd_per_month for place in one.backends):,.0f}"
    yield f"{one.bad:.2%}" if row.within_budget else f"[red]{one.bad:.2%}![/red]"
    change = row.against_today
    span = change.usd_interval
    between = "" if span is None else f" ({span.low:+,.0f} to {span.high:+,.0f})"
    yield f"{change.usd_per_month:+,.0f}{between}" if row.variation.changes else ""


def sentences(plan: Plan) -> Iterator[str]:
    """The answers, one to a line."""
    best = plan.cheapest
    if best is None:
        yield f"None of them keeps to the error budget of {plan.error_budget * 100:g}%."
    elif not best.variation.changes:
        yield "Cheapest within the error budget: as it is today."
    else:
        yield (
            f"Cheapest within the error budget: {best.name}, ${best.result.usd_per_month:,.0f} a month "
            f"({best.against_today.usd_per_month:+,.0f})."
        )
    if plan.answer is not None:
        yield plan.answer.sentence
    for one in plan.break_evens:
        more = (
            ""
            if one.fair
            else f" on dollars alone (without it {one.bad_without:.2%} are bad, with it {one.bad_with:.2%})"
        )
        if one.usd_per_month <= 0:
            yield f"Box {one.number} pays at no price{more}: without it the rest of the bill is not higher."
        else:
            yield f"Box {one.number} pays below ${one.usd_per_month:,.0f} a month{more}."
    if plan.box_utilization is not None and plan.offered_utilization is not None:
        yield (
            f"The boxes make {plan.box_utilization:.1%} of the tokens that they could; had they made all of this "
            f"traffic's, {plan.offered_utilization:.1%}."
        )
    yield from plan.notes
