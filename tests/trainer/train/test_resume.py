"""What a run finds when it goes on: the record of this program, and the rows that it began with."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trainer.data.batches import Plan
from trainer.data.rendering import Rendered
from trainer.train.checkpoint import Checkpoint, CheckpointError
from trainer.train.prepare import Prepared
from trainer.train.record import Record, Totals
from trainer.train.resume import surroundings_changed, take_up
from trainer.train.runs import RunError

DATA = {
    "sha256": "sha256:1", "learned_rows": 3, "held_out_rows": 0, "tokens": 15, "learned_tokens": 9, "sequences": 3,
    "evaluation": None,
}  # fmt: skip
RECORD = Record(
    name="a", run="a-1", fingerprint="1", started_at="", attempts=[], seed=0, settings={}, base={}, data=DATA,
    adapter={}, device={"dtype": "float32"}, versions={"torch": "2.1", "transformers": "5.0"}, estimate=None,
    planned_steps=3, steps_per_epoch=3, totals=Totals(),
)  # fmt: skip


def prepared(**changed: Any) -> Prepared:
    rows = [Rendered(number, array("i", [1, 2, 3, 4, 5]), 2) for number in (1, 2, 3)]
    plan = Plan(rows, max_tokens=5, sequences_per_step=1, sequences_at_once=1)
    return Prepared(plan, None, DATA | changed, ())


def last(**changed: Any) -> Checkpoint:
    facts = {"generators": {}, "sequences_at_once": 1, "checkpointing": False, "threads": 1}
    return Checkpoint(Path("step-00000002"), 2, facts | {"record": msgspec.to_builtins(RECORD) | changed})


def test_the_record_goes_on_where_the_rows_are_the_same() -> None:
    assert take_up(last(), prepared()) == RECORD


def test_other_rows_are_refused_and_what_differs_is_named() -> None:
    with pytest.raises(RunError, match="tokens was 15 and is 18; learned_tokens was 9 and is 12"):
        take_up(last(), prepared(tokens=18, learned_tokens=12))
    with pytest.raises(RunError, match="steps an epoch were 2 and are 3"):
        take_up(last(steps_per_epoch=2), prepared())


def test_a_checkpoint_of_another_version_is_refused_with_the_mend() -> None:
    with pytest.raises(CheckpointError, match=r"another version of this program wrote it.*--fresh"):
        take_up(last(totals=7), prepared())
    with pytest.raises(CheckpointError, match="lacks record, a record that can be read"):
        take_up(Checkpoint(Path("x"), 2, {"generators": {}, "sequences_at_once": 1, "checkpointing": False,
                                          "threads": 1}), prepared())  # fmt: skip


def test_other_libraries_and_another_dtype_are_said() -> None:
    same: dict[str, str | None] = {"torch": "2.1", "transformers": "5.0"}
    assert surroundings_changed(RECORD, {"dtype": "float32"}, same) is None
    changed = surroundings_changed(RECORD, {"dtype": "bfloat16"}, same | {"torch": "2.2"})
    assert changed is not None
    assert "torch was 2.1 and is 2.2; the dtype was float32 and is bfloat16" in changed
