"""What the demo shows: the live table while traffic flows, and the account at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gateway.demo.load import Traffic
from gateway.demo.summary import CrossoverRow, PathRow


def _name(name: str, simulated: bool) -> Text:
    text = Text(name, style="bold")
    if simulated:
        text.append(" simulated", style="yellow")
    return text


def _usd_per_1m(row: PathRow) -> str:
    return "-" if row.usd_per_1m_tokens is None else f"${row.usd_per_1m_tokens:,.2f}"


def live(
    traffic: Traffic, rows: Sequence[PathRow], states: Mapping[str, Mapping[str, Any]], elapsed: float, total: float
) -> RenderableType:
    """The table while requests are under way. `states`: `/health/backends` by name."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column, justify in (
        ("path", "left"), ("in flight", "right"), ("answered", "right"), ("tokens out", "right"), ("cost", "right"),
        ("$ per 1M out", "right"), ("TTFT p50", "right"), ("state", "left"),
    ):  # fmt: skip
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        state = states.get(row.name, {})
        table.add_row(
            _name(row.name, row.simulated), str(state.get("in_flight", 0)), str(row.requests), f"{row.output_tokens:,}",
            f"${row.usd:.6f}", _usd_per_1m(row), "-" if row.ttft_seconds is None else f"{row.ttft_seconds:.2f} s",
            _state_in_words(state),
        )  # fmt: skip
    bar = ProgressBar(total=total, completed=min(elapsed, total), width=40)
    errors = sum(answer.error is not None for answer in traffic.answers)
    words = f" {elapsed:4.0f} of {total:.0f} s   {traffic.sent} sent, {len(traffic.answers)} answered"
    head = Table.grid()
    head.add_row(bar, Text(words + (f", {errors} failed" if errors else "")))
    return Group(head, Text(), table)


def _state_in_words(state: Mapping[str, Any]) -> str:
    if not state.get("up", True):
        return "down"
    window = state.get("window")
    if window is not None:
        if window["copies"]:
            return f"window open, {window['seconds_left']:.0f} s paid"
        restoring = state.get("restoring_seconds")
        return f"cold start, {restoring:.1f} s to go" if restoring else "cold, costs nothing"
    utilization = state.get("utilization")
    return "" if utilization is None else f"{utilization:.0%} of its capacity"


def account(rows: Sequence[PathRow], in_time: Mapping[str, float | None], seconds: float) -> Table:
    """The final table: what each path served and cost."""
    table = Table(
        title=f"What {seconds:.0f} s of traffic cost on each path", title_justify="left", header_style="bold",
        caption="$ per 1M: all the dollars a path cost from the gateway's start to the end, over output tokens "
        "(reservation basis). The box is paid busy or idle; windows are paid whole.", caption_justify="left",
    )  # fmt: skip
    for column, justify in (
        ("path", "left"), ("requests", "right"), ("tokens in", "right"), ("tokens out", "right"), ("windows", "right"),
        ("cost", "right"), ("$ per 1M out", "right"), ("TTFT p50", "right"), ("in time", "right"),
    ):  # fmt: skip
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        share = in_time.get(row.name)
        table.add_row(
            _name(row.name, row.simulated), str(row.requests), f"{row.input_tokens:,}", f"{row.output_tokens:,}",
            str(row.windows) if row.windows else "", f"${row.usd:.6f}", _usd_per_1m(row),
            "-" if row.ttft_seconds is None else f"{row.ttft_seconds:.2f} s", "-" if share is None else f"{share:.0%}",
        )  # fmt: skip
    return table


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
