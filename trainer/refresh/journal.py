"""How far a refresh has come, on disk, so that one that was interrupted goes on where it stopped."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from trainer.registry.durable import write_file

SCHEMA = 1
Step = Literal["train", "register", "gate", "export", "publish"]
STEPS: tuple[Step, ...] = ("train", "register", "gate", "export", "publish")


class Done(msgspec.Struct, frozen=True):
    """A finished step. `seconds`: how long it took; `said`: its outcome in one sentence; `skipped`: it did nothing."""

    step: Step
    seconds: float
    said: str
    skipped: bool = False


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """One refresh. `fingerprint` is of its settings and its data: with other ones it is another refresh."""

    schema: int = SCHEMA
    fingerprint: str
    started_at: str
    old_run: str | None = None
    """The finished run of these settings that is not wanted again (`--again`)."""
    spent_seconds: dict[str, float] = {}
    """By step: of attempts that did not finish it."""
    run: str | None = None
    """Folder of the training run."""
    trained: bool = False
    """False: the run was there already, finished."""
    before: str | None = None
    """What served when this version was published."""
    version: str | None = None
    """As the registry calls it: handbook@v0007."""
    done: tuple[Done, ...] = ()

    @property
    def next_step(self) -> Step | None:
        """None: all are done."""
        finished = {done.step for done in self.done}
        return next((step for step in STEPS if step not in finished), None)

    def after(self, done: Done) -> Journal:
        """With one more step done."""
        return msgspec.structs.replace(self, done=(*self.done, done))

    def spent(self, step: Step, seconds: float) -> Journal:
        """With the time of an attempt that did not finish."""
        known = self.spent_seconds.get(step, 0.0)
        return msgspec.structs.replace(self, spent_seconds={**self.spent_seconds, step: round(known + seconds, 2)})

    def seconds(self, step: Step) -> float:
        """All that the step took, in every attempt."""
        return self.spent_seconds.get(step, 0.0) + sum(done.seconds for done in self.done if done.step == step)


def journal_file(runs: Path, name: str) -> Path:
    return runs / f"{name}.refresh.json"


def read(file: Path) -> Journal | None:
    """None: no refresh has begun, or what is there was written by another version of the program."""
    try:
        journal = msgspec.json.decode(file.read_bytes(), type=Journal)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return journal if journal.schema == SCHEMA else None


def write(file: Path, journal: Journal) -> None:
    """Whole or not at all, and on the disk when this returns."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    write_file(part, msgspec.json.format(msgspec.json.encode(journal), indent=1) + b"\n")
    part.replace(file)


@contextmanager
def one_at_a_time(runs: Path, name: str) -> Iterator[None]:
    """Keep a second refresh of the same adapter out. Raises OSError that says so."""
    runs.mkdir(parents=True, exist_ok=True)
    with (runs / f".{name}.refresh.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(f"another refresh of {name} is at work in {runs}: wait for its end") from None
        yield
