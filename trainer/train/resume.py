"""What an earlier process left, held against what this one found. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from trainer.train.checkpoint import Checkpoint, CheckpointError
from trainer.train.prepare import Prepared
from trainer.train.record import Record
from trainer.train.runs import RunError

_FACTS = ("record", "generators", "sequences_at_once", "checkpointing", "threads")
_SAME_DATA = ("sha256", "learned_rows", "held_out_rows", "tokens", "learned_tokens", "sequences")
_NOTED = ("torch", "transformers")


def take_up(last: Checkpoint, prepared: Prepared) -> Record:
    """The record in a checkpoint. Raises CheckpointError where it is of another version of this program, RunError where
    the rows are not those that the run began with."""
    missing = [name for name in _FACTS if name not in last.facts]
    try:
        record = msgspec.convert(last.facts.get("record"), Record)
    except msgspec.ValidationError as error:
        missing.append(f"a record that can be read ({error})")
    if missing:
        raise CheckpointError(
            f"{last.folder} lacks {', '.join(missing)}: another version of this program wrote it. Go on with that one, "
            "or start anew with --fresh"
        )
    if changed := "; ".join(_other_rows(record, prepared)):
        raise RunError(
            f"this run began with other rows, or rows rendered otherwise, and cannot go on: {changed}. Put the data, "
            "the tokenizer and the chat template back (or, where the template writes the date, start anew with --fresh)"
        )
    return record


def surroundings_changed(record: Record, device: dict[str, Any], versions: dict[str, str | None]) -> str | None:
    """What a person should know of a run that goes on under another dtype or other libraries; None: nothing."""
    pairs = [(name, record.versions.get(name), versions.get(name)) for name in _NOTED]
    pairs.append(("the dtype", record.device.get("dtype"), device.get("dtype")))
    changed = [f"{name} was {old} and is {new}" for name, old, new in pairs if old is not None and old != new]
    return f"{'; '.join(changed)}: the losses may differ from an unbroken run's" if changed else None


def _other_rows(record: Record, prepared: Prepared) -> Iterator[str]:
    before, now = record.data, prepared.facts
    for name in _SAME_DATA:
        if name in before and before[name] != now[name]:
            yield f"{name} was {before[name]} and is {now[name]}"
    old, new = ((facts.get("evaluation") or {}).get("sha256") for facts in (before, now))
    if old != new:
        yield f"the evaluation rows' sha256 was {old} and is {new}"
    if record.steps_per_epoch != prepared.plan.steps_per_epoch:
        yield f"steps an epoch were {record.steps_per_epoch} and are {prepared.plan.steps_per_epoch}"
