"""What a verdict says, as values that encode to JSON: all that a report shows, so that it need not count anything."""

from __future__ import annotations

from typing import Literal

import msgspec

from trainer.gate.statistics.agreement import Agreement
from trainer.gate.statistics.correction import Corrected
from trainer.gate.statistics.proportions import Interval

Result = Literal["pass", "fail", "undecided"]
Standing = Literal["accepted", "split", "rejected", "unjudged"]
"""Both judges accept; they differ; both reject; one or both gave no verdict, or there is no answer."""


class Rate(msgspec.Struct, frozen=True):
    """How one generator did on `n` questions. The four counts add up to `n`."""

    n: int
    accepted: int
    split: int
    rejected: int
    unjudged: int
    low: float
    """accepted / n: every open question read as a reject."""
    high: float
    """(accepted + split + unjudged) / n: every open question read as an accept."""
    low_interval: Interval
    """Wilson, 95 %, of `low`."""
    high_interval: Interval


class Paired(msgspec.Struct, frozen=True):
    """Two generators on all questions of the set, under one reading of what is open."""

    splits: Literal["rejected", "accepted"]
    """How splits are read here, for both generators alike."""
    pairs: int
    gains: int
    """Accepted from the second generator only."""
    losses: int
    """Accepted from the first only."""
    difference: float
    """(gains - losses) / pairs."""
    p: float
    """Exact McNemar, two-sided."""
    lower: float
    """One-sided score bound of the difference, at the plan's alpha."""
    upper: float


class Comparison(msgspec.Struct, frozen=True):
    """`first` -> `second`, question by question. Down to `score_interval`: judged pairs; a split is no accept."""

    first: str
    second: str
    pairs: int
    missing: int
    """Questions on which one of the two is unjudged."""
    gains: int
    losses: int
    difference: float
    p: float
    """Exact McNemar, two-sided."""
    interval: Interval
    """Of the difference, 95 %, paired bootstrap: shown, and no test uses it (it is too narrow where little differs)."""
    score_interval: Interval
    """The same by Tango's score method."""
    against: tuple[Paired, ...]
    """Splits read as rejects, then as accepts; what is unjudged read against `second`. A pass must survive both."""
    favour: tuple[Paired, ...]
    """The same with what is unjudged read for `second`. A fail must survive both."""


class NonInferiority(msgspec.Struct, frozen=True):
    """The routine question: is the second generator not worse than the first by `margin` or more?"""

    comparison: Comparison
    margin: float
    answer: Literal["not worse", "worse", "open"]
    sentence: str


class KillCriterion(msgspec.Struct, frozen=True):
    """Does fine-tuning earn nothing here?"""

    fired: bool
    cause: Literal["control reaches the bar", "gain too small"] | None
    sentence: str
    control_lower: float
    """One-sided exact lower bound of the control's accepted share."""
    gain_upper: float
    """One-sided score bound of the gain, open questions read for the candidate."""


class Condition(msgspec.Struct, frozen=True):
    """One line of the rule, for a table: what was wanted, what was seen."""

    name: Literal["control below the bar", "bar", "gain", "not worse than live", "calibration"]
    met: Literal["yes", "no", "open"]
    """no: shown to be out of reach; open: these questions do not tell."""
    wanted: str
    seen: str


class Spent(msgspec.Struct, frozen=True):
    """What one generator's answers took. None: unknown for one answer or more, or nothing to count."""

    answers: int
    """With a text, if only an empty one."""
    missing: int
    prompt_tokens_mean: float | None
    completion_tokens_mean: float | None
    latency_seconds_median: float | None
    usd: float | None
    usd_per_accepted: float | None


class Open(msgspec.Struct, frozen=True):
    """An answer that a person should look at."""

    question: str
    generator: str
    standing: Standing
    reason: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Of one run. Shares are of all questions of the set unless a field says otherwise."""

    schema: Literal[1] = 1
    outcome: Result
    why: str
    """One sentence or two for a reader who has not seen the rule."""
    plan_sha256: str
    set_name: str
    set_sha256: str
    holdout: bool
    questions: int
    control: str
    candidate: str
    live: str | None
    bar: float
    alpha: float
    minimum_gain: float
    margin: float
    least_accepted: int | None
    """Accepted answers that show the bar on this set."""
    generators: dict[str, Rate]
    comparison: Comparison
    """Control -> candidate."""
    noninferiority: NonInferiority | None
    """Live -> candidate."""
    kill_criterion: KillCriterion
    conditions: tuple[Condition, ...]
    agreement: Agreement
    """Of the two judges over all answers of all generators."""
    agreement_by_generator: dict[str, Agreement]
    questions_needed: int | None
    """More questions, at the rates seen, for each open test to have an 80 % chance to be decided. 0: it is decided."""
    questions_needed_why: str
    cost_per_accepted: dict[str, float | None]
    """USD; None: unknown, or nothing was accepted."""
    spent: dict[str, Spent]
    by_label: dict[str, dict[str, dict[str, Rate]]]
    """label -> its value -> generator -> rate."""
    answerable: dict[str, Rate]
    """By generator; the same for the questions to which the right answer is that the passages do not say."""
    unanswerable: dict[str, Rate]
    corrected: dict[str, Corrected] | None
    """Accepted shares corrected for the judges' errors; None: no calibration file."""
    outcomes: dict[str, dict[str, Standing]]
    """generator -> question -> how it stands."""
    open: tuple[Open, ...]
    """Splits and unjudged answers, in the order of the set."""
    notes: tuple[str, ...]
    """What a reader should know before trusting the figures."""
