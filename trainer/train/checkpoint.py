"""Checkpoints on disk: a folder each, which appears whole or not at all, with a checksum that is asked before use.

No torch here: what is in the tensors' file is the caller's (`state.py`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.registry.durable import sha256_of_file, sync_folder, write_file

SCHEMA = 1
TENSORS = "state.safetensors"
FACTS = "checkpoint.json"
_NAME = re.compile(r"^step-(\d{8})$")


class CheckpointError(ValueError):
    """A checkpoint is not what was written: cut short, changed, or of another version of this program."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`folder` holds the tensors; `facts` is everything else, as it was given to `write`."""

    folder: Path
    step: int
    facts: dict[str, Any]

    @property
    def tensors(self) -> Path:
        return self.folder / TENSORS


def write(root: Path, step: int, facts: dict[str, Any], write_tensors: Callable[[Path], None]) -> Path:
    """Write the checkpoint of `step` under `root` and wait for the disk. A kill at any moment leaves it out or whole.

    write_tensors: is given the path to write the tensors to. An older checkpoint of the same step is replaced.
    """
    root.mkdir(parents=True, exist_ok=True)
    unfinished = root / f".step-{step:08d}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    tensors = unfinished / TENSORS
    write_tensors(tensors)
    with tensors.open("rb") as file:
        os.fsync(file.fileno())
    head = {"schema": SCHEMA, "step": step, "bytes": tensors.stat().st_size, "sha256": sha256_of_file(tensors)}
    write_file(unfinished / FACTS, json.dumps({**head, "facts": facts}).encode())
    sync_folder(unfinished)
    folder, replaced = at(root, step), root / f".step-{step:08d}.replaced"
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():  # the same step, whose facts have moved on: evaluated, or the run's end
        folder.rename(replaced)
    unfinished.rename(folder)
    sync_folder(root)
    shutil.rmtree(replaced, ignore_errors=True)
    return folder


def read(folder: Path) -> Checkpoint:
    """The checkpoint in `folder`, its tensors checked against their checksum. Raises CheckpointError."""
    try:
        document = json.loads((folder / FACTS).read_bytes())
        schema, step, size = int(document["schema"]), int(document["step"]), int(document["bytes"])
        digest, facts = str(document["sha256"]), dict(document["facts"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / FACTS} cannot be read: {error}") from None
    if schema != SCHEMA:
        raise CheckpointError(
            f"{folder} has schema {schema}, and this program reads {SCHEMA}: another version wrote it"
        )
    tensors = folder / TENSORS
    found = tensors.stat().st_size if tensors.is_file() else 0
    if found != size:
        raise CheckpointError(f"{tensors} has {found} bytes and was written with {size}: it is not whole")
    if sha256_of_file(tensors) != digest:
        raise CheckpointError(f"{tensors} is not what was written: its checksum differs")
    return Checkpoint(folder, step, facts)


def newest(root: Path, say: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint under `root` that is whole. A broken one is told to `say` and renamed (`.broken`), so that
    `prune` does not keep it in the place of a good one."""
    for replaced in root.glob(".step-*.replaced"):  # a kill between the two renames of `write` left it so
        folder = root / replaced.stem.removeprefix(".")
        if not folder.exists():
            replaced.rename(folder)
    for folder in _folders(root):
        try:
            return read(folder)
        except CheckpointError as error:
            aside = folder.with_name(f"{folder.name}.broken")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
            say(f"a checkpoint is left aside as {aside.name}: {error}")
    return None


def at(root: Path, step: int) -> Path:
    """The folder of the checkpoint of `step`, whether it is there or not."""
    return root / f"step-{step:08d}"


def prune(root: Path, *, keep: int, best: int | None) -> None:
    """Remove all but the `keep` newest and that of step `best`; and what a kill left unfinished."""
    for folder in list(_folders(root))[keep:]:
        if best is None or folder != at(root, best):
            shutil.rmtree(folder)
    for left in root.glob(".step-*"):
        shutil.rmtree(left, ignore_errors=True)


def _folders(root: Path) -> Iterator[Path]:
    """Newest first."""
    if root.is_dir():
        yield from sorted([path for path in root.iterdir() if _NAME.match(path.name)], reverse=True)
