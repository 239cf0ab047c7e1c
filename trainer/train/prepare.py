"""From the rows on disk to the plan of every step, with the data doctor in between. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trainer.data.batches import Plan
from trainer.data.doctor.report import DoctorError, said
from trainer.data.gather import gather
from trainer.data.hashing import data_hash
from trainer.data.rendering import Rendered, load_renderer
from trainer.settings.schema import TrainSettings
from trainer.train.runs import RunError


@dataclass(frozen=True, slots=True)
class Prepared:
    """`plan` learns; `held_out` evaluates, None where there are no such rows. `facts` are for run.json."""

    plan: Plan
    held_out: Plan | None
    facts: dict[str, Any]
    warnings: tuple[str, ...]

    @property
    def mean_context(self) -> float:
        """How many tokens of its document a token sees on average, itself included."""
        lengths = self.plan.lengths.astype(np.int64)
        return float((lengths * (lengths + 1)).sum() / (2 * lengths.sum()))

    @property
    def learned_share(self) -> float:
        """Of the tokens that are not padding."""
        return self.plan.learned_tokens_per_epoch / self.plan.tokens_per_epoch

    def in_batches_of(self, sequences_at_once: int) -> Prepared:
        """The same steps, in forward passes of that many sequences."""
        held_out = None if self.held_out is None else replace(self.held_out, sequences_at_once=sequences_at_once)
        return replace(self, plan=replace(self.plan, sequences_at_once=sequences_at_once), held_out=held_out)


def prepare(settings: TrainSettings) -> Prepared:
    """Read, render and split the rows, and ask the doctor. Raises DataError with every bad row, DoctorError with all
    that the doctor will not let pass, RunError for a tokenizer that cannot be used, and OSError."""
    train, evaluation = Path(settings.data.train), settings.data.evaluation
    try:
        renderer = load_renderer(Path(settings.base.model))
    except ValueError as error:
        raise RunError(f"the tokenizer in {settings.base.model}: {error}") from None
    gathered = gather(settings, renderer)
    report = gathered.examine(settings, renderer)
    if report.errors:
        raise DoctorError(report)
    learned, held_out = _fitting(gathered.learned_ids, settings), _fitting(gathered.held_out_ids, settings)
    plan = _plan(learned, settings)
    facts = {
        "path": str(train),
        "sha256": data_hash(train),
        "rows": len(gathered.learned) + (len(gathered.held_out) if evaluation is None else 0),
        "learned_rows": len(learned),
        "held_out_rows": len(held_out),
        "left_out_rows": len(gathered.learned_ids) - len(learned) + len(gathered.held_out_ids) - len(held_out),
        "evaluation": None if evaluation is None else {"path": evaluation, "sha256": data_hash(Path(evaluation))},
        "tokens": plan.tokens_per_epoch,
        "learned_tokens": plan.learned_tokens_per_epoch,
        "sequences": plan.sequences,
        "fill_rate": plan.fill_rate,
        "labels": report.labels,
    }
    warnings = tuple(said(finding) for finding in report.warnings)
    return Prepared(plan, _plan(held_out, settings) if held_out else None, facts, warnings)


def _plan(rows: list[Rendered], settings: TrainSettings) -> Plan:
    return Plan(
        rows,
        max_tokens=settings.sequence.max_tokens,
        sequences_per_step=settings.batch.sequences_per_step,
        sequences_at_once=1,
        seed=settings.seed,
        packing=settings.sequence.packing,
    )


def _fitting(rows: list[Rendered], settings: TrainSettings) -> list[Rendered]:
    """The rows that fit a sequence: the doctor has stopped the run if none may be left out."""
    return [row for row in rows if len(row) <= settings.sequence.max_tokens]
