"""Where a run lives, and which run the same command goes on with.

RUNS/handbook-3f2a90c1d4/        name and fingerprint: the same settings and data come back to it
    identity.json                what the fingerprint is of
    run.json  loss.png           the record, written anew at each checkpoint
    checkpoints/step-00000050/
    adapter/                     appears when the run is finished
RUNS/handbook-3f2a90c1d4-2/      the same settings again, from the start (--fresh)
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from trainer.registry.durable import sha256_of_file, sync_folder, write_file
from trainer.settings.provenance import values
from trainer.settings.schema import TrainSettings
from trainer.train.base import base_identity

Wish = Literal["auto", "resume", "fresh"]

WITHOUT_EFFECT = (
    "version", "name", "description", "runs", "registry", "data.gate_questions", "data.labels", "gate", "export",
    "publish", "serving", "checkpoint", "batch.sequences_at_once", "device.kind", "device.checkpointing",
    "device.loss_chunk_tokens", "device.memory_gib", "device.threads",
)  # fmt: skip
"""Settings that may change in the middle of a run: they change where and how it is computed, not what."""


RUN_FILE = "CROSSOVER_RUN_FILE"
"""Environment variable: a file into which a finished run's folder is written, for the process that started it."""


class RunError(ValueError):
    """This run cannot start or go on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The run's folder, and what is in it. `notes` are for the person who started it."""

    folder: Path
    state: Literal["new", "unfinished", "finished"]
    notes: tuple[str, ...] = ()


def identity(settings: TrainSettings) -> dict[str, Any]:
    """What makes two runs the same: the settings that matter, and files by what they hold, wherever they are."""
    flat = {
        name: value
        for name, value in values(settings).items()
        if not any(name == other or name.startswith(f"{other}.") for other in WITHOUT_EFFECT)
    }
    flat["base.model"] = base_identity(Path(settings.base.model))
    for name, file in (("data.train", settings.data.train), ("data.evaluation", settings.data.evaluation)):
        flat[name] = None if file is None else sha256_of_file(Path(file))
    return flat


def fingerprint(identity: dict[str, Any]) -> str:
    """Ten hexadecimal digits of the hash of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]


def choose(settings: TrainSettings, wanted: dict[str, Any], wish: Wish) -> Choice:
    """The folder for a run of identity `wanted`. Nothing is written.

    Raises RunError when `wish` is to resume and there is no run of these settings; it names what differs from the
    newest unfinished one.
    """
    root = Path(settings.runs)
    stem = f"{settings.name}-{fingerprint(wanted)}"
    own = sorted(_numbered(root, stem))
    if wish == "fresh":
        number = own[-1][0] + 1 if own else 1
        return Choice(root / (stem if number == 1 else f"{stem}-{number}"), "new")
    if own:
        folder = own[-1][1]
        return Choice(folder, "finished" if finished(folder) else "unfinished")
    others = [folder for folder in _of_name(root, settings.name) if not finished(folder)]
    if not others:
        if wish == "resume":
            raise RunError(f"no unfinished run of {settings.name} is in {root}: leave --resume out to start one")
        return Choice(root / stem, "new")
    other = max(others, key=lambda folder: (folder / "identity.json").stat().st_mtime)
    changed = "; ".join(differences(json.loads((other / "identity.json").read_bytes()), wanted))
    if wish == "resume":
        raise RunError(
            f"{other} was started with other settings and cannot go on with these: {changed}. "
            "Put them back to go on with it, or leave --resume out (or say --fresh) to start a new run"
        )
    return Choice(
        root / stem, "new", (f"{other.name} is unfinished and has other settings, so this is a new run: {changed}",)
    )


def differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """One phrase for each setting that differs."""
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old != new:
            if name == "base.model" and isinstance(old, dict) and isinstance(new, dict):
                files = sorted(file for file in old.keys() | new.keys() if old.get(file) != new.get(file))
                yield f"what {name} holds has changed ({', '.join(files)})"
                continue
            content = name in ("base.model", "data.train", "data.evaluation")
            yield f"what {name} holds has changed" if content else f"{name} was {_shown(old)} and is {_shown(new)}"


def start(folder: Path, wanted: dict[str, Any], wish: Wish = "auto") -> None:
    """Make the run's folder, whose lock the caller holds. What another process has written there stays.

    Raises RunError where `wish` is a fresh run and the folder has one by now.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if wish == "fresh" and ((folder / "checkpoints").exists() or finished(folder)):
        raise RunError(f"{folder} was new when this process chose it, and another has trained there since: start again")
    if (folder / "identity.json").exists():
        return
    part = folder / ".identity.json.part"
    write_file(part, json.dumps(wanted, indent=1).encode())
    part.rename(folder / "identity.json")
    sync_folder(folder)


def name_to_parent(folder: Path) -> None:
    """Write the run's folder, absolute, on one line of the file that the parent process asks for (RUN_FILE)."""
    if file := os.environ.get(RUN_FILE):
        Path(file).write_text(f"{folder.absolute()}\n")


def finished(folder: Path) -> bool:
    """Whether the run has handed its adapter on. `adapter` appears by rename, as the last thing but the record."""
    return (folder / "adapter").is_dir()


def lock(folder: Path) -> int:
    """Make the folder and keep other processes out of the run until this one ends, however it ends.

    Raises RunError if one is there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise RunError(
            f"{folder} is being trained by process {holder}: wait for it, or stop it and start again"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _numbered(root: Path, stem: str) -> Iterator[tuple[int, Path]]:
    pattern = re.compile(re.escape(stem) + r"(?:-(\d+))?$")
    for folder in _folders(root):
        if match := pattern.match(folder.name):
            yield int(match[1] or 1), folder


def _of_name(root: Path, name: str) -> Iterator[Path]:
    pattern = re.compile(re.escape(name) + r"-[0-9a-f]{10}(?:-\d+)?$")
    yield from (folder for folder in _folders(root) if pattern.match(folder.name))


def _folders(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from (folder for folder in root.iterdir() if (folder / "identity.json").is_file())


def _shown(value: Any) -> str:
    return "none" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
