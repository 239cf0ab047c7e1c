"""How long the rows are, how much of each is learned, and how many steps that gives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from trainer.data.doctor.report import Finding, Lengths, about
from trainer.data.packing import fill_rate, pack
from trainer.data.rendering import Rendered
from trainer.settings.schema import TrainSettings

BARS = 16
FEW_STEPS = 20
"""With fewer optimizer steps a learning rate has hardly risen before it falls."""
FEW_ROWS = 10


def lengths(values: Sequence[int]) -> Lengths | None:
    """How `values` are spread; None without any. Percentiles are values that occur (the nearest rank above)."""
    if not values:
        return None
    ordered = np.sort(np.asarray(values))
    p50, p90, p99 = (int(ordered[math.ceil(share * len(ordered)) - 1]) for share in (0.5, 0.9, 0.99))
    least, most = int(ordered[0]), int(ordered[-1])
    width = max(1, math.ceil((most - least + 1) / BARS))
    counts = np.bincount((ordered - least) // width)
    histogram = tuple((least + bar * width, int(count)) for bar, count in enumerate(counts))
    return Lengths(least, float(ordered.mean()), p50, p90, p99, most, histogram)


def check_lengths(rendered: Sequence[Rendered], settings: TrainSettings, of: str = "") -> Iterator[Finding]:
    """Rows that do not fit a sequence, and rows of which nothing is learned. `of` says which rows, if not the training
    file's."""
    limit = settings.sequence.max_tokens
    longest = max((len(row) for row in rendered), default=0)
    dropped = settings.sequence.too_long == "drop"
    yield from about(
        "too_long",
        "warning" if dropped else "error",
        (row.number for row in rendered if len(row) > limit),
        f"{{n}}{of} of more than sequence.max_tokens = {limit:,} tokens{' and left out' if dropped else ''}",
        f"raise it to {longest:,}, or shorten the rows"
        + ("" if dropped else ", or leave them out with sequence.too_long: drop"),
    )
    yield from about(
        "nothing_learned",
        "error",
        (row.number for row in rendered if row.learned_tokens < 1),
        f"{{n}}{of} without a token that is learned",
        "give each an answer, and a prompt before it",
    )


class Work:
    """What a run has to do: sequences, steps and how full the sequences are."""

    def __init__(self, rendered: Sequence[Rendered], settings: TrainSettings) -> None:
        limit, sequence = settings.sequence.max_tokens, settings.sequence
        self.rows, self.limit = len(rendered), limit
        self.fitting = [len(row) for row in rendered if 0 < len(row) <= limit]
        self.sequences = len(pack(self.fitting, limit)) if sequence.packing else len(self.fitting)
        self.fill_rate = fill_rate(self.fitting, self.sequences, limit)
        self.steps_per_epoch = -(-self.sequences // settings.batch.sequences_per_step)
        bounds = [settings.length.max_steps] if settings.length.max_steps is not None else []
        if settings.length.epochs is not None:
            bounds.append(math.ceil(self.steps_per_epoch * settings.length.epochs))
        self.steps = min(bounds, default=None)

    def check(self, settings: TrainSettings) -> Iterator[Finding]:
        if self.rows and not self.fitting and settings.sequence.too_long == "drop":
            yield Finding(
                "nothing_left",
                "error",
                f"no row is left to learn from: all have more than sequence.max_tokens = {self.limit:,} tokens",
                "raise it, or shorten the rows",
            )
        elif len(self.fitting) < FEW_ROWS:
            amount = f"{len(self.fitting)} row{'s' * (len(self.fitting) != 1)}"
            yield Finding("few_rows", "warning", f"only {amount} to learn from", "a few dozen teach a style, not facts")
        if self.steps is None or self.steps >= FEW_STEPS or not self.fitting:
            return
        if settings.length.max_steps == self.steps:
            mend = "raise length.max_steps, unless this is a trial"
        else:
            mend = "lower batch.sequences_per_step, or sequence.max_tokens, or raise length.epochs"
        yield Finding(
            "few_steps",
            "warning",
            f"the run has {self.steps} optimizer step{'s' * (self.steps != 1)}: the rows fill {self.sequences:,} "
            f"sequence{'s' * (self.sequences != 1)} an epoch, and a step takes {settings.batch.sequences_per_step}",
            mend,
        )
