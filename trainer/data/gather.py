"""Everything that a run learns from and is measured by, read from the files that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainer.data.doctor import Report, examine
from trainer.data.rendering import Rendered, Renderer
from trainer.data.rows import Row, read_questions, read_rows
from trainer.data.split import split
from trainer.settings.schema import TrainSettings


@dataclass(frozen=True, slots=True)
class Gathered:
    """The rows to learn from with their tokens, those held out with theirs, and the gate's questions. Rows that are too
    long for a sequence are still here: the doctor says whether that is an error."""

    learned: list[Row]
    learned_ids: list[Rendered]
    held_out: list[Row]
    held_out_ids: list[Rendered]
    gate_questions: list[str]

    def examine(self, settings: TrainSettings, renderer: Renderer) -> Report:
        """What the doctor says."""
        return examine(
            self.learned,
            self.learned_ids,
            settings,
            renderer,
            self.held_out,
            self.held_out_ids,
            self.gate_questions,
        )


def gather(settings: TrainSettings, renderer: Renderer, tell: Callable[[str], None] = lambda _: None) -> Gathered:
    """Read and render. `tell` is told what is being done. Raises DataError with every bad row, and OSError."""
    data = settings.data
    tell(f"reading {data.train}")
    rows = read_rows(Path(data.train), data.labels)
    if data.evaluation is None:
        learned, held_out = split(rows, data.evaluation_share)
    else:
        learned, held_out = rows, read_rows(Path(data.evaluation), data.labels)
    questions = read_questions(Path(data.gate_questions)) if data.gate_questions else []
    tell(f"rendering {len(learned) + len(held_out):,} rows")
    learned_ids = list(renderer.render(learned, data.train))
    held_out_ids = list(renderer.render(held_out, data.evaluation or data.train))
    return Gathered(learned, learned_ids, held_out, held_out_ids, questions)
