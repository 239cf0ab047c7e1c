"""All that a report shows, as plain values. `trainer.gate.report.contents` fills it; nothing is computed after that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Together = Literal["accepted", "split", "rejected", "unjudged"]
"""Of one answer, by both judges: both accept, they differ, both reject, or one of them could not judge."""


@dataclass(frozen=True, slots=True)
class Row:
    """One generator. Shares are of all questions; None: unknown."""

    name: str
    role: str
    """control, candidate, live or nothing."""
    model: str
    note: str
    accepted: int
    split: int
    rejected: int
    unjudged: int
    questions: int
    low: float
    """Accepted by both judges."""
    high: float
    """As if every split, and every answer that could not be judged, had been accepted."""
    interval_low: float
    interval_high: float
    """95 % by Wilson: the lower end of `low`'s, the upper end of `high`'s."""
    answers: int
    """Questions that got an answer at all."""
    output_tokens: int | None
    median_seconds: float | None
    usd: float | None
    """Of all its answers."""
    usd_per_answer: float | None
    usd_per_1m_output_tokens: float | None
    usd_per_accepted: float | None
    simulated: str | None
    """What of it is simulated, in words."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The same questions, two generators. `low`, `high`: the interval of the difference, by Tango's score method;
    `bootstrap`: the paired bootstrap's, which is too narrow where little differs."""

    before: str
    after: str
    both: int
    gains: int
    losses: int
    neither: int
    p: float | None
    difference: float
    low: float
    high: float
    bootstrap: tuple[float, float]
    wanted: float
    """The difference that the plan asks for: the least gain worth having, or minus the margin."""
    words: str


@dataclass(frozen=True, slots=True)
class Checked:
    """How many of a generator's answers have what. None of it counts in the verdict."""

    name: str
    answerable: int
    """Questions with facts to look for."""
    hold_facts: int
    hold_facts_rejected: int
    """Right in the fact, and not accepted by both judges: the form, the citation or what else it says is wrong."""
    uncited: int
    unknown_ids: int
    """They cite what they were not shown."""
    from_nowhere: int
    """A number, a date or a name that neither a passage nor the question holds."""
    refused_wrongly: int
    answered_wrongly: int
    """Though there is no answer."""
    too_long: int


@dataclass(frozen=True, slots=True)
class Judged:
    judge: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One generator's answer to one question. Everything of it may be hostile."""

    generator: str
    text: str | None
    error: str | None
    together: Together
    judged: tuple[Judged, ...]
    findings: tuple[str, ...]
    """What the deterministic checks found."""
    facts: str
    """Model, tokens, seconds, dollars: in one line."""


@dataclass(frozen=True, slots=True)
class Asked:
    id: str
    question: str
    reference: str | None
    sources: tuple[str, ...]
    labels: str
    passages: tuple[tuple[str, str], ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Questions that share a label. `accepted` by generator."""

    label: str
    questions: int
    accepted: dict[str, int]


@dataclass(frozen=True, slots=True)
class View:
    title: str
    words: tuple[str, ...]
    """Whose, of when, from what."""
    outcome: str
    """pass, fail or undecided."""
    why: str
    kill_fired: bool
    kill: str
    more: str
    """How many more questions would decide; empty where nothing is open."""
    conditions: tuple[tuple[str, str, str, str], ...]
    """Name, met or not, what was wanted, what was seen."""
    bar: float
    rows: tuple[Row, ...]
    comparisons: tuple[Compared, ...]
    judges: tuple[tuple[str, str], ...]
    """Name, and what it is."""
    agreement: tuple[tuple[str, str], ...]
    """What, and its value in words."""
    checks: tuple[Checked, ...]
    groups: tuple[Group, ...]
    plan: tuple[tuple[str, str], ...]
    simulated: tuple[str, ...]
    """Sentences; empty: nothing is."""
    notes: tuple[str, ...]
    asked: tuple[Asked, ...]
