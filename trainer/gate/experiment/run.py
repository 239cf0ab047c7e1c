"""The experiment, step by step: index and freeze, ask the control, train, serve, gate, publish or refuse, report.

Then its two counter-tests: a set that is so easy that the control clears the bar (the kill criterion must fire), and an
adapter that learned wrong answers (it must be refused).
"""

from __future__ import annotations

import asyncio
import os
import platform
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from gateway.demo.stages import Stages
from gateway.sandbox.vllm.prepare import prepare
from trainer.gate.experiment import settings as files
from trainer.gate.experiment.parts import Box, Parts, started_box, started_parts
from trainer.gate.experiment.sets import Sets, frozen_sets, overlap
from trainer.gate.experiment.settings import ExperimentError, Settings
from trainer.gate.frozen import read_frozen
from trainer.gate.judges import judges_of
from trainer.gate.judging import Gated, for_version, gate_served
from trainer.gate.progress import shown_progress
from trainer.gate.report.hostile import visible
from trainer.gate.run import chats_of, open_run
from trainer.gate.run_folder import one_at_a_time
from trainer.gate.settings import GateSettings
from trainer.gate.staging import stage
from trainer.gate.verdict import Verdict, verdict
from trainer.publish.errors import PublishError
from trainer.publish.place import Place, find_place
from trainer.publish.publishing import publish
from trainer.registry import Lineage, Registry, base_of
from trainer.registry.taking_in import take_in
from trainer.registry.version import version_id
from trainer.train.cli import run_training
from trainer.train.finished import finished_run

INTERRUPTED = (130, 143)
"""What training ends with when it was stopped by SIGINT or SIGTERM: a Ctrl-C reaches it, and not this process."""


@dataclass(slots=True)
class Outcome:
    """`seconds` by step; the rest in words, or None where a step was not asked for, or not reached."""

    made_at: str = ""
    """When it began, UTC."""
    machine: str = ""
    model: str = ""
    """The base's folder name."""
    questions: int = 0
    control: str = ""
    """What was seen of the control alone, before anything was trained."""
    killed: bool = False
    """The kill criterion fired at the control: nothing was trained."""
    trained: bool = False
    """False: an adapter that was there already was gated."""
    version: str | None = None
    verdict: str | None = None
    why: str | None = None
    accepted: dict[str, str] = field(default_factory=dict)
    p: float | None = None
    published: bool = False
    publication: str | None = None
    easy_killed: bool | None = None
    easy: str | None = None
    worse_verdict: str | None = None
    worse_refused: bool | None = None
    worse: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    """Of the gate's runs."""

    @property
    def as_expected(self) -> bool:
        """The tuned model passed and is live; the kill criterion fired where it should; the worse one was refused."""
        tuned = self.verdict == "pass" and self.published
        return tuned and self.easy_killed is not False and self.worse_refused is not False


def experiment(settings: Settings, console: Console, box: Box | None = None) -> Outcome:
    """`box`: a vLLM that runs already; None: one is prepared and started. However it ends, nothing is left running.

    Raises ExperimentError, GateError, PublishError, RegistryError, what preparing and starting the parts raises, and
    KeyboardInterrupt also where only the training was interrupted."""
    settings.work.mkdir(parents=True, exist_ok=True)
    with ExitStack() as ends:
        return _Experiment(settings, console, ends).run(box)


class _Experiment:
    def __init__(self, settings: Settings, console: Console, ends: ExitStack) -> None:
        self._settings = settings
        self._console = console
        self._ends = ends
        self._stages = Stages(console)
        self._found = Outcome(
            made_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            machine=f"{os.cpu_count()} cores ({platform.machine()})",
            seconds=self._stages.seconds,
        )
        self._registry = Registry(settings.work / "registry")
        self._borrowed = False
        """The box is another's: it gets back what it had."""

    def run(self, box: Box | None) -> Outcome:
        settings, found = self._settings, self._found
        with self._stages.stage("index and freeze", "indexing the handbook, and freezing the questions") as say:
            sets = frozen_sets(settings, say)
            self._require_no_leak(sets)
        self._borrowed = box is not None
        box = self._box() if box is None else box
        found.model = box.model_dir.name
        with self._stages.stage("gateway", "starting the gateway"):
            parts = self._ends.enter_context(started_parts(box, settings.work, cloud=settings.cloud))
        gate = files.gate(parts, settings.work, sets.questions, cloud=settings.cloud)
        name = files.read_recipe().name
        self._control(gate, version_id(name, 1))
        if found.killed:
            return found
        place = self._place(parts, gate.name)
        version = self._trained(parts)
        if version != version_id(name, 1):
            raise ExperimentError(
                f"{settings.work} holds {version} already: each experiment begins in a folder of its own"
            )
        found.version = version
        gated = self._gate("gate", "gating the tuned model", gate, version, place)
        self._tell_gate(gated)
        found.published, found.publication = self._publish("publish", version, place)
        if settings.easy and sets.easy is not None:
            easy = files.gate(parts, settings.work, sets.easy, f"{gate.name}-easy")
            doing = "the same two on easy questions"
            self._easy(self._gate("easy questions", doing, easy, version, place, noted=False))
        if settings.worse:
            self._worse(parts, files.gate(parts, settings.work, sets.questions), place)
        return found

    def _require_no_leak(self, sets: Sets) -> None:
        """Before anything is asked: what was learned by heart would be no gain."""
        rows, held = Path(files.read_recipe().data.train), read_frozen(sets.questions)
        found = overlap(held, rows)
        if found.asked or found.answered:
            raise ExperimentError(
                f"{rows} asks {', '.join(found.asked) or 'none'} of the frozen questions and holds the answer of "
                f"{', '.join(found.answered) or 'none'}: take those rows out, or freeze other questions"
            )
        self._found.questions = len(held.questions)
        self._line(f"no training row holds one of the {len(held.questions)} frozen questions or of their answers")

    # -- parts -----------------------------------------------------------------------------------------------------

    def _box(self) -> Box:
        settings = self._settings
        with self._stages.stage("prepare", "preparing vLLM and the model") as say:
            prepared = prepare(settings.home, say)
        with self._stages.stage("vllm", "starting vLLM with the base model"):
            rank = files.read_recipe().serving.max_lora_rank
            log = settings.work / "logs" / "vllm.log"
            return self._ends.enter_context(started_box(prepared.python, prepared.model_dir, log, rank))

    def _place(self, parts: Parts, gate: str) -> Place:
        rank = files.read_recipe().serving.max_lora_rank
        return find_place(
            parts.policy, files.ALIAS, "box", self._registry.root, max_lora_rank=rank,
            gateway_url=parts.gateway_url.removesuffix("/v1"), gate=gate,
        )  # fmt: skip

    # -- steps -----------------------------------------------------------------------------------------------------

    def _control(self, gate: GateSettings, version: str) -> None:
        """Base and retrieval alone, by the plan that the gate of the version will go by: it is registered here. Answers
        and judgements are kept, and the gate does not ask for them again."""
        with self._stages.stage("control", "asking the control: the base model with retrieval"):
            seen = asyncio.run(_first_look(for_version(gate, version), version, self._console))
        rate = seen.generators[gate.control]
        self._found.control = f"{rate.accepted} of {rate.n} accepted; the bar is {gate.bar:.0%}"
        self._found.killed = seen.kill_criterion.cause == "control reaches the bar"
        self._line(f"control: {self._found.control}")
        if self._found.killed:
            self._line(f"{seen.kill_criterion.sentence} Nothing was trained.")

    def _trained(self, parts: Parts) -> str:
        settings = self._settings
        self._found.trained = settings.trained is None
        if settings.trained is not None:
            with self._stages.stage("adapter", "taking in an adapter that was trained before"):
                made = Lineage(origin="imported", base=base_of(parts.box.model_dir, hash_weights=False))
                return self._registry.add(files.read_recipe().name, settings.trained, made).id
        recipe = files.training(settings, parts, max_steps=settings.max_steps)
        return self._train("train", "training the adapter by the shipped recipe", recipe, parts)

    def _train(self, step: str, doing: str, recipe: Path, parts: Parts) -> str:
        self._line(doing)
        with self._stages.stage(step, doing):
            status, folder = run_training(recipe, python=parts.box.python, preflight=False, all_to_stderr=True)
        if status in INTERRUPTED:
            raise KeyboardInterrupt
        if status or folder is None:
            raise ExperimentError(f"{doing}: it ended with status {status}; its settings are {recipe}")
        return take_in(self._registry, finished_run(folder), hash_weights=False).id

    def _gate(
        self, step: str, doing: str, gate: GateSettings, version: str, place: Place, *, noted: bool = True
    ) -> Gated:
        """`noted`: in the version's history, where the last verdict is the one that holds."""
        with self._stages.stage(step, doing) as say:
            if stage(place, version, files.CANDIDATE, say) and self._borrowed:
                self._ends.callback(place.server.unload, version)
            registry = self._registry if noted else None
            gated = gate_served(for_version(gate, version), version, registry, console=self._console)
        self._found.folders[step] = str(gated.finished.folder)
        self._line(gated.said)
        return gated

    def _tell_gate(self, gated: Gated) -> None:
        found, seen = self._found, gated.finished.verdict
        found.verdict, found.why, found.p = seen.outcome, seen.why, seen.comparison.p
        found.accepted = {name: f"{rate.accepted} of {rate.n}" for name, rate in seen.generators.items()}

    def _publish(self, step: str, version: str, place: Place) -> tuple[bool, str]:
        """As anyone would: it refuses by itself what its gate did not pass."""
        with self._stages.stage(step, f"publishing {version}") as say:
            try:
                done = publish(version, place, say=say)
            except PublishError as error:
                self._line(f"publish refused: {error}")
                return False, f"refused: {error}"
        return True, f"{done.version} answers {place.alias} in place of {done.before}"

    def _easy(self, gated: Gated) -> None:
        criterion = gated.finished.verdict.kill_criterion
        self._found.easy_killed, self._found.easy = criterion.fired, criterion.sentence

    def _worse(self, parts: Parts, gate: GateSettings, place: Place) -> None:
        settings, found = self._settings, self._found
        rows = settings.work / "wrong-answers.jsonl"
        files.wrong_rows(Path(files.read_recipe().data.train), rows)
        steps = min(files.WORSE_STEPS, settings.max_steps or files.WORSE_STEPS)
        recipe = files.training(settings, parts, rows, steps)
        version = self._train("train a worse one", "training an adapter on wrong answers", recipe, parts)
        gated = self._gate("gate the worse one", "gating the worse adapter", gate, version, place)
        published, said = self._publish("publish the worse one", version, place)
        found.worse_verdict, found.worse_refused, found.worse = gated.finished.verdict.outcome, not published, said

    def _line(self, words: str) -> None:
        self._console.print(f"  {visible(words)}", markup=False, highlight=False, soft_wrap=True)


async def _first_look(gate: GateSettings, version: str, console: Console) -> Verdict:
    with shown_progress(console) as tell:
        run = open_run(gate, version=version, tell=tell)
        with one_at_a_time(run.folder):
            async with chats_of(gate) as chats:
                judges = judges_of(gate, chats)
                plan = await run.register(judges)
                await run.try_judges(judges)
                answers = await run.answers(chats, [gate.control])
                judgements = await run.judgements(judges, answers)
    return verdict(plan, run.frozen.questions, answers, judgements)
