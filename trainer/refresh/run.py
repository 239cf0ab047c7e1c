"""The steps of a refresh, one after the other. Each is written down when it is done; a step that says no ends it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from msgspec.structs import replace

from trainer.gate.terms import named_gate
from trainer.refresh.journal import Done, Journal, Step, journal_file, read, write
from trainer.registry import Registry, RegistryError
from trainer.registry.durable import sha256_of_file
from trainer.registry.taking_in import take_in
from trainer.settings.load import Loaded
from trainer.settings.schema import TrainSettings
from trainer.train import runs
from trainer.train.finished import FinishedRun, UnfinishedRunError, finished_run

NO_GATE = (
    "no gate was run (the settings name none): nothing says that this version answers better than the one before it"
)


class StepFailedError(Exception):
    """A step said no. `status`: the exit status of the command; the message says what was left as it was."""

    def __init__(self, step: Step, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.step = step
        self.status = status


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing did, in a sentence; `before`: the generation that was live until then."""

    said: str
    before: str | None


@dataclass(frozen=True, slots=True)
class Tools:
    """What the steps do outside of this process; each raises `StepFailedError`.

    `train(fresh)` gives back the folder of the finished run; `gate` and `export` say in a sentence what they found and
    did.
    """

    train: Callable[[bool], Path]
    gate: Callable[[str], str]
    export: Callable[[str, Path], str]
    publish: Callable[[str], Published]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """`journal` with all steps done; `changed`: one of them was done just now."""

    journal: Journal
    run: FinishedRun
    changed: bool


def fingerprint(settings: TrainSettings) -> str:
    """Of all that a refresh does: what is trained, what it must not hold, what it must answer, where it is exported and
    published. Raises SettingsError for a gate whose settings cannot be read: before an hour of training."""
    where = settings.model_dump_json(include={"gate", "export", "publish", "registry"})
    files = (settings.data.gate_questions, None if settings.gate is None else settings.gate.config)
    gate = "".join(sha256_of_file(Path(file)) for file in files if file is not None)
    asks = named_gate(None if settings.gate is None else settings.gate.config)
    gate += "" if asks is None else f"{asks.set_sha256}"
    return sha256((runs.fingerprint(runs.identity(settings)) + where + gate).encode()).hexdigest()[:16]


def begin(settings: TrainSettings, *, again: bool) -> tuple[Journal, str | None]:
    """(the refresh to go on with or a new one, what there is to say about that). A new one is written down."""
    file = journal_file(Path(settings.runs), settings.name)
    before = read(file)
    wanted = fingerprint(settings)
    note = None
    if before is not None and before.fingerprint == wanted:
        if before.next_step is not None:
            return before, f"going on with the refresh of {before.started_at}, at its step {before.next_step}"
        if not again:
            return before, None
    elif before is not None and before.next_step is not None:
        note = f"the refresh of {before.started_at} was not finished, and had other settings or data: this is a new one"
    choice = runs.choose(settings, runs.identity(settings), "auto")
    new = Journal(
        fingerprint=wanted,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        old_run=str(choice.folder) if again and choice.state == "finished" else None,
    )
    write(file, new)
    return new, note


def refresh(loaded: Loaded, journal: Journal, tools: Tools, say: Callable[[str], None]) -> Refreshed:
    """Do what is left to do. Raises StepFailedError; what was done before stays done and written down."""
    settings = loaded.settings
    file = journal_file(Path(settings.runs), settings.name)
    changed = journal.next_step is not None
    while (step := journal.next_step) is not None:
        say(f"{step} ...")
        started = time.monotonic()
        try:
            journal, said, skipped = _do(step, settings, journal, tools)
        except BaseException:
            write(file, journal.spent(step, time.monotonic() - started))
            raise
        journal = journal.after(Done(step, round(time.monotonic() - started, 2), said, skipped))
        write(file, journal)
        say(f"{step}: {said}")
    assert journal.run is not None
    return Refreshed(journal, _finished(Path(journal.run)), changed)


def _do(step: Step, settings: TrainSettings, journal: Journal, tools: Tools) -> tuple[Journal, str, bool]:
    """(the journal with what the step found, what it did in a sentence, whether it was skipped)."""
    match step:
        case "train":
            return *_train(settings, journal, tools), False
        case "register":
            assert journal.run is not None
            try:
                version = take_in(Registry(Path(settings.registry)), _finished(Path(journal.run)))
            except (RegistryError, OSError) as error:
                raise StepFailedError(
                    "register", f"the adapter is in {journal.run} and in no registry: {error}"
                ) from None
            return replace(journal, version=version.id), f"{version.id} is in {settings.registry}", False
        case "gate" if settings.gate is not None:
            assert journal.version is not None
            return journal, tools.gate(journal.version), False
        case "gate":
            return journal, NO_GATE, True
        case "export" if settings.export is not None:
            assert journal.version is not None
            return journal, tools.export(journal.version, Path(settings.export.folder) / journal.version), False
        case "publish" if settings.publish is not None:
            assert journal.version is not None
            published = tools.publish(journal.version)
            return replace(journal, before=published.before), published.said, False
        case _:
            return journal, f"not asked for (`{step}` in the settings)", True


def _train(settings: TrainSettings, journal: Journal, tools: Tools) -> tuple[Journal, str]:
    identity = runs.identity(settings)
    choice = runs.choose(settings, identity, "auto")
    fresh = str(choice.folder) == journal.old_run
    trained = fresh or choice.state != "finished"
    run = _finished(tools.train(fresh))
    if run.record.fingerprint != runs.fingerprint(identity):
        raise StepFailedError(
            "train",
            f"the settings or the data were changed while it trained: {run.folder} is finished, and is not taken for "
            "what they say now. Run refresh again",
        )
    totals = run.record.totals
    said = f"{totals.steps} steps, {totals.real_tokens} tokens, loss {totals.final_loss:.4f}"
    return replace(journal, run=str(run.folder), trained=trained), said if trained else f"was done before: {said}"


def _finished(folder: Path) -> FinishedRun:
    try:
        return finished_run(folder)
    except UnfinishedRunError as error:
        raise StepFailedError("train", f"{error}; `crossover refresh --again` trains anew") from None
