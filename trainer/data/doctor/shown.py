"""A report as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trainer.data.doctor.report import Finding, Lengths, Report, where

_COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_BAR_COLUMNS = 40
_PARTS = " ▏▎▍▌▋▊▉█"
LABELS_SHOWN = 12


def shown(report: Report, title: str) -> Group:
    """The whole report, to be printed on a rich console."""
    parts: list[RenderableType] = [Text(title, style="bold"), _figures(report), Text("")]
    if report.row_tokens is not None:
        parts += [Text("tokens of a row (whole)", style="bold"), _histogram(report.row_tokens), Text("")]
    if report.labels:
        parts += [Text("labels", style="bold"), _labels(report.labels), Text("")]
    parts += [line for finding in report.findings for line in _finding(finding)]
    return Group(*parts, _verdict(report))


def _figures(report: Report) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    rows = f"{report.rows:,} to learn from, {report.held_out_rows:,} held out"
    if left_out := report.rows - report.learned_rows:
        rows += f"; {left_out:,} do not fit a sequence"
    table.add_row("rows", rows)
    if report.tokens:
        share = report.learned_tokens / report.tokens
        table.add_row("tokens", f"{report.tokens:,}, of which {report.learned_tokens:,} are learned ({share:.0%})")
    for name, spread in (("a row has", report.row_tokens), ("an answer has", report.answer_tokens)):
        if spread is not None:
            table.add_row(name, f"{_spread(spread)} tokens")
    steps = "no limit" if report.steps is None else f"{report.steps:,} in all"
    table.add_row("sequences", f"{report.sequences:,} an epoch, {report.fill_rate:.1%} full")
    table.add_row("steps", f"{report.steps_per_epoch:,} an epoch, {steps}")
    gate = f"{report.gate_questions:,} compared" if report.gate_questions else "none named (data.gate_questions)"
    table.add_row("gate questions", gate)
    return table


def _spread(spread: Lengths) -> str:
    return f"{spread.least:,} to {spread.most:,}, half at most {spread.p50:,}, 99% at most {spread.p99:,}"


def _histogram(spread: Lengths) -> Table:
    table = Table.grid(padding=(0, 1))
    for justify in ("right", "left", "right"):
        table.add_column(justify=justify, no_wrap=True)
    most = max(count for _, count in spread.histogram)
    width = spread.histogram[1][0] - spread.histogram[0][0] if len(spread.histogram) > 1 else 1
    for start, count in spread.histogram:
        last = min(start + width - 1, spread.most)
        name = f"{start:,}" if last <= start else f"{start:,}-{last:,}"
        table.add_row(Text(name, style="dim"), Text(_bar(count, most), style="green"), f"{count:,}")
    return table


def _labels(labels: dict[str, int]) -> Table:
    table = Table.grid(padding=(0, 1))
    most = max(labels.values())
    for label, count in list(labels.items())[:LABELS_SHOWN]:
        table.add_row(Text(label, style="dim"), Text(_bar(count, most), style="blue"), f"{count:,}")
    if len(labels) > LABELS_SHOWN:
        table.add_row(Text(f"and {len(labels) - LABELS_SHOWN:,} more", style="dim"))
    return table


def _bar(count: int, most: int) -> str:
    eighths = max(1, round(count / most * _BAR_COLUMNS * 8)) if count else 0
    return _PARTS[8] * (eighths // 8) + _PARTS[eighths % 8].strip()


def _finding(finding: Finding) -> Iterator[RenderableType]:
    colour = _COLOURS[finding.severity]
    lines = where(finding.rows, finding.count)
    yield Text.assemble((finding.severity, colour), ": ", finding.message, (lines, "dim"))
    yield Text(f"  {finding.mend}", style="dim")


def _verdict(report: Report) -> Text:
    errors, warnings = len(report.errors), len(report.warnings)
    if errors:
        return Text(f"{_many(errors, 'error')}, {_many(warnings, 'warning')}: mend the errors first", style="bold red")
    if warnings:
        return Text(f"no errors, {_many(warnings, 'warning')}", style="bold yellow")
    return Text("nothing wrong was found", style="bold green")


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"
