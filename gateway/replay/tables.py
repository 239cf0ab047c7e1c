"""Replays as tables for people. Every figure is rounded here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.markup import escape
from rich.table import Table

from gateway.replay.comparison import Replayed
from gateway.replay.results import FEW_CALLS, BackendResult, Latency, Result, ratio
from gateway.replay.statistics import LEAST_DAYS, Interval

NONE = "-"


def tables(replay: Replayed) -> Iterator[Table]:
    """All tables of one list of requests."""
    yield cost_table(replay)
    if replay.baseline is not None:
        yield differences_table(replay, replay.baseline)
    yield places_table(replay)
    yield windows_table(replay)
    yield latency_table(replay)


def cost_table(replay: Replayed) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=f"Simulated: {escape(replay.title)}",
        caption="\n".join(_cost_caption(replay)),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("policy", no_wrap=True)
    headers = ["$ a month", "of it use", "$ per 1M", "bad", "late", "wrong", "refused"]
    if replay.bound is not None:
        headers.append("x bound")
    if replay.hindsight is not None:
        headers.append("x hindsight")
    for header in headers:
        table.add_column(header, no_wrap=True, justify="right")
    kept = [one for one in replay.results if one.bad <= replay.error_budget]
    best = min(kept, key=lambda one: one.usd_per_month, default=None)
    for one in _rows(replay):
        over = one.bad > replay.error_budget
        cells = [
            f"{one.usd_per_month:,.0f}",
            f"{one.variable_usd_per_month:,.0f}",
            f"{one.usd_per_1m_tokens:.3f}",
            f"[red]{one.bad:.2%}![/red]" if over else f"{one.bad:.2%}",
            *(f"{share:.2%}" for share in (one.late, one.wrong, one.refused)),
        ]
        if replay.bound is not None:
            cells.append(_times(ratio(one.usd_per_month, replay.bound_usd)))
        if replay.hindsight is not None:
            cells.append(_times(ratio(one.usd_per_month, replay.hindsight_usd)))
        style = "bold green" if one is best and len(replay.results) > 1 else "dim" if one is replay.hindsight else ""
        table.add_row(escape(one.policy), *cells, style=style)
    if replay.bound_usd is not None:
        empty = [""] * (len(headers) - 1)
        table.add_row("lower bound", f"{replay.bound_usd:,.0f}", *empty, style="dim")
    return table


def _cost_caption(replay: Replayed) -> Iterator[str]:
    yield "A month is 730 h. $ a month: the box whole where it was used, and use (windows, tokens)."
    yield f"Bad: late, wrong or refused; ! above the error budget of {replay.error_budget * 100:g}%."
    if replay.bound is not None:
        yield "Lower bound: no router can pay less at that budget, whatever it knows of the future."
    if replay.hindsight is not None:
        failed = "" if replay.hindsight_kept else " It did not keep to the budget."
        yield f"Hindsight: a plan of windows made knowing the whole trace; it could have been reached.{failed}"
    yield from (escape(note) for note in replay.notes)


def differences_table(replay: Replayed, baseline: str) -> Table:
    days = len(replay.results[0].daily.usd)
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=f"Against {escape(baseline)}",
        caption=f"95% interval: paired t over {days} days."
        if days >= LEAST_DAYS
        else f"No interval: fewer than {LEAST_DAYS} whole days.",
        title_justify="left",
        caption_justify="left",
    )
    for header in ("policy", "$ a month", "bad, points"):
        table.add_column(header, no_wrap=True)
    for one in replay.results:
        if (compared := replay.comparison(one)) is not None:
            table.add_row(
                escape(one.policy),
                f"{compared.usd_per_month:+,.0f}{_span(compared.usd_interval, 1, ',.0f')}",
                f"{100 * compared.bad:+.2f}{_span(compared.bad_interval, 100, '.2f')}",
            )
    return table


def _span(interval: Interval | None, factor: float, form: str) -> str:
    if interval is None:
        return ""
    return f" ({interval.low * factor:+{form}} to {interval.high * factor:+{form}})"


def places_table(replay: Replayed) -> Table:
    names = list(dict.fromkeys(backend.name for one in replay.results for backend in one.backends))
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title="Where it went: share of requests, $ a month, capacity in use",
        title_justify="left",
    )
    table.add_column("policy", no_wrap=True)
    for name in names:
        table.add_column(escape(name), no_wrap=True, justify="right")
    table.add_column("held first", no_wrap=True, justify="right")
    for one in _rows(replay):
        mine = {backend.name: backend for backend in one.backends}
        cells = [_place(mine.get(name)) for name in names]
        table.add_row(escape(one.policy), *cells, f"{one.held:.1%}", style=_style(replay, one))
    return table


def windows_table(replay: Replayed) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title="Windows a month",
        caption="Billed: used by calls, and the idle tail. Calls, tokens: of a mean used one.\n"
        "Busy: tokens made, of what the copies could have made. Books: as the gateway itself would count them.",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("policy", no_wrap=True)
    for header in ("billed", "used", f"by < {FEW_CALLS} calls", "calls", "output tokens", "busy", "books"):
        table.add_column(header, no_wrap=True, justify="right")
    for one in _rows(replay):
        windows = one.windows
        table.add_row(
            escape(one.policy),
            f"{windows.per_month:,.0f}",
            f"{windows.used_per_month:,.0f}",
            f"{windows.few_calls_per_month:,.0f}",
            f"{windows.mean_calls:,.0f}",
            f"{windows.mean_output_tokens:,.0f}",
            NONE if windows.busy_share is None else f"{windows.busy_share:.0%}",
            f"{windows.metered_per_month:,.0f}",
            style=_style(replay, one),
        )
    return table


def _rows(replay: Replayed) -> list[Result]:
    return [*replay.results, *([replay.hindsight] if replay.hindsight is not None else [])]


def _style(replay: Replayed, one: Result) -> str:
    return "dim" if one is replay.hindsight else ""


def _place(one: BackendResult | None) -> str:
    if one is None or not (one.share or one.usd_per_month):
        return NONE
    busy = "" if one.utilization is None else f" {one.utilization:.0%}"
    return f"{one.share:.1%} ${one.usd_per_month:,.0f}{busy}"


def latency_table(replay: Replayed) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title="Seconds to the first token, of what was answered",
        title_justify="left",
    )
    table.add_column("policy", no_wrap=True)
    for kind in ("interactive", "relaxed"):
        for share in ("p50", "p95", "p99"):
            table.add_column(f"{kind} {share}", no_wrap=True, justify="right")
    for one in _rows(replay):
        cells = (*_percentiles(one.interactive), *_percentiles(one.relaxed))
        table.add_row(escape(one.policy), *cells, style=_style(replay, one))
    return table


def _percentiles(one: Latency) -> list[str]:
    return [NONE if value is None else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
            for value in (one.p50, one.p95, one.p99)]  # fmt: skip


def _times(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"
