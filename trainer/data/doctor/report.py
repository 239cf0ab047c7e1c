"""What the doctor found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

ROWS_NAMED = 8
"""Row numbers that a finding names; `count` says how many there are."""

Severity = Literal["error", "warning", "note"]


class Finding(msgspec.Struct, frozen=True):
    """One thing about the rows. `rows` are line numbers of the training file, the first few of `count`; a finding about
    the set as a whole has none."""

    check: str
    severity: Severity
    message: str
    mend: str
    count: int = 0
    rows: tuple[int, ...] = ()


class Lengths(msgspec.Struct, frozen=True):
    """Tokens a row: how they are spread."""

    least: int
    mean: float
    p50: int
    p90: int
    p99: int
    most: int
    histogram: tuple[tuple[int, int], ...]
    """(fewest tokens of the bar, rows), in steps of equal width."""


class Report(msgspec.Struct, frozen=True):
    """All about a training file. `schema` counts up when a field changes its meaning."""

    schema: int
    rows: int
    """To learn from; those held out are apart."""
    learned_rows: int
    """Rows that a sequence holds: with `too_long: drop`, the others are left out."""
    held_out_rows: int
    gate_questions: int
    tokens: int
    learned_tokens: int
    row_tokens: Lengths | None
    answer_tokens: Lengths | None
    sequences: int
    fill_rate: float
    steps_per_epoch: int
    steps: int | None
    """Of the whole run; None when neither epochs nor max_steps bound it."""
    labels: dict[str, int] | None
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return self._of("error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return self._of("warning")

    @property
    def verdict(self) -> Literal["errors", "warnings", "ok"]:
        return "errors" if self.errors else "warnings" if self.warnings else "ok"

    def _of(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == severity)


class DoctorError(ValueError):
    """The doctor found errors; `report` has all of them, the message one line for each."""

    def __init__(self, report: Report) -> None:
        self.report = report
        super().__init__("\n".join(said(finding) for finding in report.errors))


def about(check: str, severity: Severity, numbers: Iterable[int], message: str, mend: str) -> list[Finding]:
    """One finding about the rows `numbers`, none without any. In `message` `{n}` becomes "3 rows" or "1 row", and
    `{s}` the ending of its verb."""
    found = sorted(set(numbers))
    if not found:
        return []
    amount = f"{len(found):,} row{'s' * (len(found) != 1)}"
    text = message.replace("{n}", amount).replace("{s}", "s" if len(found) == 1 else "")
    return [Finding(check, severity, text, mend, len(found), tuple(found[:ROWS_NAMED]))]


def said(finding: Finding) -> str:
    """A finding as one plain line."""
    return f"{finding.message}{where(finding.rows, finding.count)}; {finding.mend}"


def where(rows: Sequence[int], count: int) -> str:
    """ " (lines 3, 8 and 12 more)"; empty without rows."""
    if not rows:
        return ""
    named = ", ".join(map(str, rows))
    more = f" and {count - len(rows):,} more" if count > len(rows) else ""
    return f" (line{'s' * (count != 1)} {named}{more})"
