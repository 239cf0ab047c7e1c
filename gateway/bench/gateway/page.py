"""The tables for people: Markdown for docs/benchmarks/gateway.md, and the same rows on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from gateway.bench.gateway.accounting import CPU_SOURCE
from gateway.bench.gateway.figures import COMPARED, NAMES, Figure, Figures, Goal, errors
from gateway.bench.gateway.rounds import INTERVAL_SECONDS, STALL_INTERVALS, Results
from gateway.bench.gateway.systems import ALL, CONDITIONS
from gateway.bench.machine import in_one_line

Rows = tuple[list[str], list[list[str]]]


def number(value: float | None) -> str:
    if value is None:
        return "-"
    size = abs(value)
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def cell(figure: Figure | None) -> str:
    """Median and, where they differ, the quartiles."""
    if figure is None:
        return "-"
    if figure.low == figure.high:
        return number(figure.median)
    return f"{number(figure.median)} ({number(figure.low)} to {number(figure.high)})"


def figure_rows(found: Figures) -> Rows:
    systems = [name for name in ALL if any(name in by_system for by_system in found.values())]
    rows = [
        [NAMES[name], *(cell(by_system.get(system)) for system in systems)]
        for name, by_system in found.items()
        if by_system
    ]
    return ["", *systems], rows


def goal_rows(goals: Sequence[Goal]) -> Rows:
    rows = []
    for goal in goals:
        verdict = {True: "met", False: "**missed**", None: "unknown"}[goal.met]
        ratios = [number(goal.ratios.get(peer)) for peer in COMPARED]
        limit = "" if goal.limit is None or " of " not in goal.rule else f" ({number(goal.limit)})"
        rows.append([goal.name, f"{goal.rule}{limit}", number(goal.value), verdict, *ratios])
    return ["", "goal", "Crossover", "verdict", *(f"ratio to {peer}" for peer in COMPARED)], rows


def warnings(results: Results, facts: Mapping[str, Any], apart: bool) -> Iterator[str]:
    """What makes the figures doubtful or leaves some out."""
    if not apart:
        yield "This machine has fewer than 2 cores: system, mock and client share one, and times say little."
    if results.plan.share_of_seconds < 1:
        yield "A quick run: it shows that everything works, and no figure of it means anything."
    for name, why in results.missing.items():
        yield f"{name} is missing from this run: {why}"
    for name, reasons in errors(results).items():
        for why, times in reasons.items():
            yield f"{name} gave {times} answers that were errors: {why}"
    if (load := facts["load_average"][0]) > 0.5:
        yield f"The machine was not idle at the start (load {load:g}): trust CPU figures more than times."


def markdown(results: Results, found: Figures, goals: Sequence[Goal], facts: Mapping[str, Any], apart: bool) -> str:
    plan = results.plan
    out = [
        "# The gateway beside its peers",
        "",
        f"*Measured {facts['at']} by `crossover bench gateway`: {in_one_line(facts)}, {facts['system']}. "
        f"Rounds: {plan.rounds}, all systems in turn; medians, quartiles in brackets. Raw figures: "
        "[gateway.json](gateway.json).*",
        "",
        "![CPU time, latency, streams and memory of each system](gateway.svg)",
        "",
        *(f"- **{warning}**" for warning in warnings(results, facts, apart)),
        "",
        "## Goals",
        "",
        *_table(goal_rows(goals)),
        "",
        "A ratio is Crossover's figure over the peer's; `-` where one of them is unknown or not above zero.",
        f"Event loop lag: {results.lag.series if results.lag else 'the gateway was not in this run'}.",
        "",
        "## Figures",
        "",
        *_table(figure_rows(found)),
        "",
        "## What is measured",
        "",
        *explained(results, apart),
        "",
        "## Run it",
        "",
        "`make bench`, or `crossover bench gateway` (`--help` for rounds and systems). Peers are installed once into "
        "`$CROSSOVER_HOME/peers`, in the versions of `requirements/peers-*.txt`; nginx is the one on the PATH, else "
        "Debian's, unpacked there. Leave the machine alone while it runs.",
        "",
    ]  # fmt: skip
    return "\n".join(out)


def explained(results: Results, apart: bool) -> Iterator[str]:
    """What is measured, and how: a list in Markdown."""
    plan, interval = results.plan, INTERVAL_SECONDS * 1e3
    where = "another" if apart else "the same, since there is only one"
    yield (
        "- A mock upstream and a load client, both raw asyncio protocols on uvloop and each a process of its own, "
        f"share one core; the system under test has {where}. All systems are up at once; only one is asked at a time, "
        "in short rounds and a turning order."
    )
    for name in ALL:
        if name not in results.missing:
            yield f"- {name}: {CONDITIONS[name]}."
    yield (
        f"- CPU time is that of the system's whole process tree, from the kernel's {CPU_SOURCE}, read "
        f"{plan.settle_seconds:g} s after the load ended so that work that was put off counts, less what the tree uses "
        "when idle (measured at the start of each round). Answers have 16 tokens, prompts about 100 bytes or 100 KB."
    )
    yield (
        "- Added: the percentile of a system less that of going direct in the same round. 'direct again' shows what "
        "this adds by chance; a difference within its quartiles means nothing. Streams begin spread, "
        "not at once. Chunks that come together have no gap between them, so a system that lumps them has a median "
        "below 0."
    )
    yield (
        f"- Streams bring a chunk each {interval:g} ms. The most without a stall: {', '.join(map(str, plan.levels))} "
        f"streams of {plan.tokens_of_paced} chunks are tried. A stall is a stream that is not complete, or a gap of "
        f"more than {STALL_INTERVALS} intervals ({STALL_INTERVALS * interval:g} ms) beyond the longest one that going "
        "direct showed with as many just before; a number fails when it stalls twice. "
        f"Median of {plan.ladders} climbs."
    )
    yield (
        "- Memory is the resident memory of the tree: before any load, the most after any load, and "
        f"{plan.recover_seconds:g} s after the last (pages that two of its processes share count twice)."
    )
    yield (
        "- Requests/s is what 64 connections in closed loop get, of short prompts. Where a system is quick, it is the "
        "core of mock and client that is full, as it is for going direct."
    )
    yield "- An answer that is not complete is an error: it is named above and is no sample."


def _table(rows: Rows) -> Iterator[str]:
    head, body = rows
    for row in (head, ["---"] * len(head), *body):
        yield f"| {' | '.join(row)} |"


def show(
    console: Console, results: Results, found: Figures, goals: Sequence[Goal], facts: Mapping[str, Any], apart: bool
) -> None:
    for title, (head, body) in (("Figures", figure_rows(found)), ("Goals", goal_rows(goals))):
        table = Table(title=title, title_justify="left")
        for name in head:
            table.add_column(name, justify="left" if not name or name == "goal" else "right", overflow="fold")
        for row in body:
            table.add_row(*(text.replace("*", "").replace(" (", "\n(") for text in row))
        console.print(table)
    if results.lag:
        console.print(f"Event loop lag: {results.lag.series}.", highlight=False)
    for warning in warnings(results, facts, apart):
        console.print(f"[bold red]{warning}[/]", highlight=False)
