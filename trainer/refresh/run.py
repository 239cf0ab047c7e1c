"""The steps of a refresh, one after the other. Each is written down when it is done; a step that says no ends it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from trainer.refresh.journal import Done, Journal, Step, journal_file, read, write
from trainer.registry.registry import Registry
from trainer.registry.taking_in import take_in
from trainer.settings.load import Loaded
from trainer.settings.schema import TrainSettings
from trainer.train import runs
from trainer.train.finished import FinishedRun, finished_run

NO_GATE = "no gate was run: nothing says that this version answers better than the one before it"


class StepFailedError(Exception):
    """A step said no. `status`: the exit status of the command; the message says what was left as it was."""

    def __init__(self, step: Step, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.step = step
        self.status = status


@dataclass(frozen=True, slots=True)
class Tools:
    """What the steps do outside of this process; each raises `StepFailedError`.

    `train` gives back an exit status; `export` and `publish` say in a sentence what they did.
    """

    train: Callable[[], int]
    export: Callable[[str, Path], str]
    publish: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """`journal` with all steps done; `before`: the newest version when the refresh began."""

    journal: Journal
    run: FinishedRun
    before: str | None


def fingerprint(settings: TrainSettings) -> str:
    """Of all that a refresh does: what is trained, where it is exported and published."""
    where = settings.model_dump_json(include={"export", "publish", "registry"})
    return sha256((runs.fingerprint(runs.identity(settings)) + where).encode()).hexdigest()[:16]


def begin(settings: TrainSettings, *, again: bool) -> tuple[Journal, str | None]:
    """(the refresh to go on with or a new one, what there is to say about that)."""
    before = read(journal_file(Path(settings.runs), settings.name))
    wanted = fingerprint(settings)
    new = Journal(fingerprint=wanted, started_at=datetime.now(UTC).isoformat(timespec="seconds"))
    if before is None or again:
        return new, None
    if before.fingerprint == wanted:
        if before.next_step is None:
            return before, None
        return before, f"going on with the refresh of {before.started_at}, at its step {before.next_step}"
    if before.next_step is not None:
        return (
            new,
            f"the refresh of {before.started_at} was not finished and had other settings or data: this is a new one",
        )
    return new, None


def refresh(loaded: Loaded, journal: Journal, tools: Tools, say: Callable[[str], None]) -> Refreshed:
    """Do what is left to do. Raises StepFailedError; what was done before stays done and written down."""
    settings = loaded.settings
    registry = Registry(Path(settings.registry))
    file = journal_file(Path(settings.runs), settings.name)
    versions = [version.id for version in registry.versions(settings.name) if version.id != journal.version]
    while (step := journal.next_step) is not None:
        say(f"{step} ...")
        started = time.monotonic()
        run, version, skipped = journal.run, journal.version, False
        match step:
            case "train":
                run, said = _train(settings, tools)
            case "register":
                assert run is not None
                version = take_in(registry, finished_run(run)).id
                said = f"{version} is in {settings.registry}"
            case "gate":
                said, skipped = NO_GATE, True
            case "export":
                assert version is not None
                skipped = settings.export is None
                said = (
                    "not asked for (`export` in the settings)"
                    if settings.export is None
                    else tools.export(version, Path(settings.export.folder) / version)
                )
            case "publish":
                assert version is not None
                skipped = settings.publish is None
                said = "not asked for (`publish` in the settings)" if skipped else tools.publish(version)
        done = Done(step, round(time.monotonic() - started, 2), said, skipped)
        journal = journal.after(done, run=run, version=version)
        write(file, journal)
        say(f"{step}: {said}")
    assert journal.run is not None
    return Refreshed(journal, finished_run(journal.run), versions[-1] if versions else None)


def _train(settings: TrainSettings, tools: Tools) -> tuple[str, str]:
    status = tools.train()
    if status:
        raise StepFailedError("train", "training did not finish: nothing was registered, exported or published", status)
    folder = runs.choose(settings, runs.identity(settings), "auto").folder
    run = finished_run(folder)
    totals = run.record.totals
    return str(folder), f"{totals.steps} steps, {totals.real_tokens} tokens, loss {totals.final_loss:.4f}"
