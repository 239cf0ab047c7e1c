"""What the demo shows: the live table while traffic flows, and the account at the end.

Both fit a terminal of 80 columns with every number whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gateway.demo.load import Traffic
from gateway.demo.summary import CrossoverRow, PathRow

SIMULATED_MARK = "†"
BAR_COLUMNS = 20


def _table(*columns: str, title: str | None = None) -> Table:
    """The first column is a path's name, which may fold; the others are numbers, which may not."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column(columns[0], overflow="fold")
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _name(name: str, simulated: bool) -> Text:
    text = Text(name, style="bold")
    if simulated:
        text.append(f" {SIMULATED_MARK}", style="yellow")
    return text


def _legend(rows: Sequence[PathRow]) -> list[Text]:
    simulated = [row.name for row in rows if row.simulated]
    return [Text(f"{SIMULATED_MARK} simulated: {', '.join(simulated)}", style="yellow")] if simulated else []


def _usd_per_1m(row: PathRow) -> str:
    return "-" if row.usd_per_1m_tokens is None else f"${row.usd_per_1m_tokens:,.2f}"


def _ttft(row: PathRow) -> str:
    return "-" if row.ttft_seconds is None else f"{row.ttft_seconds:.2f} s"


def progress(elapsed: float, total: float) -> str:
    """Seconds of the traffic that have passed; after its planned end, what is waited for."""
    return f"{elapsed:.0f} of {total:.0f} s" if elapsed <= total else "waiting for the last answers"


def live(
    traffic: Traffic, rows: Sequence[PathRow], states: Mapping[str, Mapping[str, Any]], elapsed: float, total: float
) -> RenderableType:
    """The table while requests are under way. `states`: `/health/backends` by name."""
    table = _table("path", "now", "done", "out", "cost", "$ per 1M", "TTFT", "state")
    table.columns[-1].justify = "left"
    for row in rows:
        state = states.get(row.name, {})
        table.add_row(
            _name(row.name, row.simulated), str(state.get("in_flight", 0)), str(row.requests), f"{row.output_tokens:,}",
            f"${row.usd:.6f}", _usd_per_1m(row), _ttft(row), state_in_words(state, row.owned),
        )  # fmt: skip
    bar = ProgressBar(total=total, completed=min(elapsed, total), width=BAR_COLUMNS)
    errors = sum(answer.error is not None for answer in traffic.answers)
    words = f" {progress(elapsed, total)}   {traffic.sent} sent, {len(traffic.answers)} answered"
    head = Table.grid()
    head.add_row(bar, Text(words + (f", {errors} failed" if errors else "")))
    return Group(head, Text(), table, *_legend(rows))


def state_in_words(state: Mapping[str, Any], owned: bool) -> str:
    """In 15 columns or fewer. What is billed by the token has no capacity that it could be a share of."""
    if not state.get("up", True):
        return "down"
    window = state.get("window")
    if window is not None:
        if window["copies"]:
            return f"{window['seconds_left']:.0f} s paid"
        restoring = state.get("restoring_seconds")
        return f"starting, {restoring:.1f} s" if restoring else "cold, no charge"
    utilization = state.get("utilization")
    return f"{utilization:.0%} of capacity" if owned and utilization is not None else ""


def account(rows: Sequence[PathRow], in_time: Mapping[str, float | None], seconds: float) -> RenderableType:
    """The final table: what each path served and cost."""
    table = _table(
        "path", "req", "in", "out", "win", "cost", "$ per 1M", "TTFT", "in time",
        title=f"What {seconds:.0f} s of traffic cost on each path",
    )  # fmt: skip
    for row in rows:
        share = in_time.get(row.name)
        table.add_row(
            _name(row.name, row.simulated), str(row.requests), f"{row.input_tokens:,}", f"{row.output_tokens:,}",
            str(row.windows) if row.windows else "", f"${row.usd:.6f}", _usd_per_1m(row), _ttft(row),
            "-" if share is None else f"{share:.0%}",
        )  # fmt: skip
    words = (
        "req: requests; in, out: tokens; win: paid windows; TTFT: median of the streams. $ per 1M: all the dollars "
        "a path cost from the gateway's start to the end, over 1M output tokens (reservation basis). The box is paid "
        "busy or idle; windows are paid whole."
    )
    return Group(table, *_legend(rows), Text(words, style="dim"))


def crossover_sentences(crossovers: Sequence[CrossoverRow]) -> list[str]:
    """One sentence for each path that the box is compared with."""
    sentences = []
    for row in crossovers:
        if row.utilization > 1:
            sentences.append(
                f"{row.box} against {row.against}: never cheaper at this capacity (it would take "
                f"{row.utilization:.1f} times what the box can do)."
            )
            continue
        side = "above: the box is the cheaper one" if row.measured > row.utilization else "below: the cloud is cheaper"
        sentences.append(
            f"{row.box} against {row.against}: cheaper per token above {row.utilization:.1%} of its capacity. "
            f"In this run it was at {row.measured:.1%}, {side}."
        )
    return sentences
