"""One run of the gate: the plan, the judges' canaries, the answers, the judgements, the verdict, the report.

Everything that was asked and answered is in the run's folder. The same command goes on with a run that was stopped, and
asks nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec

from trainer.gate import run_folder
from trainer.gate.calibration import Labelled, calibrated, labelled_answers, read_calibration
from trainer.gate.canaries import try_judges
from trainer.gate.chat import Chats
from trainer.gate.errors import GateError, IdentityError
from trainer.gate.frozen import read_frozen
from trainer.gate.generate import generate, generator_identity, priced
from trainer.gate.judges import Judge, judge_answers, judges_of
from trainer.gate.plan import Plan, register
from trainer.gate.progress import Tell, silent
from trainer.gate.prompt import sha256_of_set
from trainer.gate.report.contents import view
from trainer.gate.report.page import markdown, page
from trainer.gate.report.view import View
from trainer.gate.run_folder import Record
from trainer.gate.runlog import RunLog
from trainer.gate.schema import Answer, FrozenSet, Judgement
from trainer.gate.settings import GateSettings
from trainer.gate.simulated import simulated_backends
from trainer.gate.stopping import first_of
from trainer.gate.verdict import Calibration, Verdict, verdict

Now: TypeAlias = Callable[[], datetime]
STATUS = {"pass": 0, "fail": 1, "undecided": 3}
"""Exit statuses. 2: there is no verdict."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Finished:
    """`view`: what the report shows."""

    folder: Path
    record: Record
    view: View

    @property
    def verdict(self) -> Verdict:
        return self.record.verdict

    @property
    def status(self) -> int:
        return STATUS[self.verdict.outcome]


@dataclass(frozen=True)
class Run:
    """One gate at work in its folder. `version`: whose answers the candidate's must be; None: it is no version."""

    settings: GateSettings
    frozen: FrozenSet
    folder: Path
    version: str | None = None
    holdout: bool = False
    tell: Tell = silent
    remarks: tuple[str, ...] = ()
    now: Now = _utc_now
    labelled: tuple[Labelled, ...] = ()
    """Answers that people labelled, and the hash of their file."""
    labelled_sha256: str | None = None

    async def register(self, judges: Sequence[Judge]) -> Plan:
        """Before the first request. Raises PlanChangedError where another plan is registered for this run."""
        settings, out = self.settings, self.folder.parents[1]
        sampling = settings.sampling
        try:
            plan = register(
                self.frozen,
                gate=settings.name,
                generators={name: generator_identity(settings, name) for name in settings.generators},
                judges={judge.name: dict(judge.identity) for judge in judges},
                sampling={
                    "max_tokens": sampling.max_tokens, "temperature": sampling.temperature,
                    "seed": "none" if sampling.seed is None else sampling.seed,
                },
                control=settings.control,
                candidate=settings.candidate,
                live=settings.live,
                bar=settings.bar,
                alpha=settings.test.alpha,
                minimum_gain=settings.test.minimum_gain,
                margin=settings.test.margin,
                holdout=self.holdout,
                calibration_sha256=self.labelled_sha256,
                earlier_verdicts=run_folder.earlier_verdicts(
                    out, settings.name, sha256_of_set(self.frozen), self.folder
                ),
            )  # fmt: skip
        except ValueError as error:
            raise GateError(str(error)) from None
        return run_folder.register_plan(self.folder, plan)

    async def try_judges(self, judges: Sequence[Judge]) -> Calibration | None:
        """Before any answer is asked for. Raises CanaryError where one errs on what is known to be right or wrong."""
        with RunLog(self.folder / run_folder.JUDGEMENTS) as log:
            await try_judges(
                judges, self.frozen, log, at_once=self.settings.concurrency,
                progress=lambda name, done, total: self.tell(f"canaries before {name}", done, total),
            )  # fmt: skip
            if not self.labelled or self.labelled_sha256 is None:
                return None
            given = labelled_answers(self.labelled)
            found = await judge_answers(
                judges, self.frozen.questions, given, log, at_once=self.settings.concurrency,
                progress=lambda name, done, total: self.tell(f"labelled answers before {name}", done, total),
            )  # fmt: skip
        panel = calibrated(self.labelled, found, self.labelled_sha256).panel
        return Calibration(panel.good, panel.good_accepted, panel.bad, panel.bad - panel.bad_accepted)

    async def answers(self, chats: Chats, names: Sequence[str]) -> dict[str, list[Answer]]:
        """Of these generators: one after the other at one address, so that none pays for another's time; addresses at
        the same time. Raises the errors of `generate`; IdentityError too where the candidate's answers do not say that
        they are the version's."""
        by_address: dict[str, list[str]] = {}
        for name in names:
            by_address.setdefault(urlsplit(self.settings.generators[name].base_url).netloc, []).append(name)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._in_turn(chats, some)) for some in by_address.values()]
        except BaseExceptionGroup as several:
            raise first_of(several) from None
        found = {name: given for task in tasks for name, given in task.result().items()}
        if self.version is not None and self.settings.candidate in found:
            _require_version(self.version, found[self.settings.candidate])
        return {name: found[name] for name in names}

    async def _in_turn(self, chats: Chats, names: Sequence[str]) -> dict[str, list[Answer]]:
        found = {}
        for name in names:
            with RunLog(self.folder / run_folder.ANSWERS / f"{name}.jsonl") as log:
                found[name] = await generate(
                    chats, self.settings, self.frozen, name, log,
                    lambda name, done, total: self.tell(f"answers of {name}", done, total),
                )  # fmt: skip
            if self.settings.ledger is not None:
                found[name] = await priced(found[name], self.settings.ledger)
        return found

    async def judgements(self, judges: Sequence[Judge], answers: Mapping[str, list[Answer]]) -> list[Judgement]:
        with RunLog(self.folder / run_folder.JUDGEMENTS) as log:
            return await judge_answers(
                judges, self.frozen.questions, [one for name in answers for one in answers[name]], log,
                at_once=self.settings.concurrency,
                progress=lambda name, done, total: self.tell(f"judged by {name}", done, total),
            )  # fmt: skip

    def conclude(
        self,
        plan: Plan,
        answers: Mapping[str, list[Answer]],
        judgements: Sequence[Judgement],
        calibration: Calibration | None,
    ) -> Finished:
        """The verdict and the report, written down."""
        found = verdict(plan, self.frozen.questions, answers, judgements, calibration)
        made_at = self.now().isoformat(timespec="seconds").replace("+00:00", "Z")
        simulated = simulated_backends(self.settings, answers)
        remarks = self.remarks
        before = run_folder.recorded(self.folder)
        if before is not None:  # the gateway that said so may have ended since
            simulated = before.simulated | simulated
            if before.verdict.outcomes == found.outcomes:
                made_at = before.made_at
            else:
                remarks = (*remarks, _second_look(before))
            remarks = tuple(dict.fromkeys((*before.remarks, *remarks)))
        record = Record(
            gate=self.settings.name, version=self.version, run=self.folder.name, made_at=made_at, verdict=found,
            simulated=simulated, remarks=remarks,
        )  # fmt: skip
        shown = view(
            plan, found, self.frozen, answers, judgements, made_at=made_at, version=self.version,
            notes={name: one.note for name, one in self.settings.generators.items()}, simulated=simulated,
            remarks=remarks,
        )  # fmt: skip
        run_folder.write_whole(self.folder / run_folder.MARKDOWN, markdown(shown).encode())
        run_folder.write_whole(self.folder / run_folder.PAGE, page(shown).encode())
        run_folder.write_whole(self.folder / run_folder.VERDICT, msgspec.json.encode(record))
        return Finished(self.folder, record, shown)


async def run_gate(
    settings: GateSettings,
    *,
    version: str | None = None,
    holdout: bool = False,
    again: bool = False,
    tell: Tell = silent,
    remarks: Sequence[str] = (),
    now: Now = _utc_now,
) -> Finished:
    """Everything; goes on where a run of the same candidate on the same set was stopped.

    again: a new run beside the earlier one. holdout: on the sealed set of the settings. Raises GateError,
    FrozenSetError and OSError: there is no verdict then, and what was asked so far stays for the same command.
    """
    run = open_run(settings, version=version, holdout=holdout, again=again, tell=tell, remarks=remarks, now=now)
    with run_folder.one_at_a_time(run.folder):
        async with chats_of(settings) as chats:
            judges = judges_of(settings, chats)
            plan = await run.register(judges)
            calibration = await run.try_judges(judges)
            answers = await run.answers(chats, list(settings.generators))
            judgements = await run.judgements(judges, answers)
        return run.conclude(plan, answers, judgements, calibration)


def open_run(
    settings: GateSettings,
    *,
    version: str | None = None,
    holdout: bool = False,
    again: bool = False,
    tell: Tell = silent,
    remarks: Sequence[str] = (),
    now: Now = _utc_now,
) -> Run:
    """The run to go on with, or a new one; nothing is written. Raises GateError, FrozenSetError and OSError."""
    if holdout and settings.holdout is None:
        raise GateError("--holdout opens the sealed set, and the settings name none: set `holdout`")
    frozen = read_frozen(Path(settings.holdout if holdout and settings.holdout else settings.questions))
    candidate = version or settings.generators[settings.candidate].model
    folder = run_folder.run_folder(Path(settings.out), settings.name, candidate, sha256_of_set(frozen), again=again)
    labelled: list[Labelled] = []
    sha256 = None
    if settings.calibration is not None:
        labelled, sha256 = read_calibration(settings.calibration, frozen)
    return Run(
        settings, frozen, folder, version, holdout, tell, tuple(remarks), now, tuple(labelled), sha256,
    )  # fmt: skip


def chats_of(settings: GateSettings) -> Chats:
    return Chats(
        settings.concurrency, retries=settings.retries, longest_wait_seconds=settings.longest_wait_seconds
    )  # fmt: skip


def _second_look(before: Record) -> str:
    return (
        f"This run said {before.verdict.outcome} at {before.made_at}. What was unjudged then was asked again; the rest "
        "is as it was."
    )


def _require_version(version: str, answers: Sequence[Answer]) -> None:
    """An alias says nothing of which version it is: each answer must."""
    for one in answers:
        if one.text is not None and version not in (one.adapter, one.model):
            raise IdentityError(
                f"{one.generator}: nothing in its answers says that they are {version}'s (it calls itself "
                f"{one.model!r}): ask for it by that name at the model server, or through a gateway, which names it"
            )
