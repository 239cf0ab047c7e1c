"""A version of the registry through the gate: brought to where it can be asked, judged, and noted in its history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from trainer.gate.generate.identity import expected_version
from trainer.gate.load import load_gate
from trainer.gate.progress import shown_progress
from trainer.gate.run import Finished, run_gate
from trainer.gate.settings import GateSettings
from trainer.gate.staging import stage, unstage
from trainer.gate.terms import terms_of
from trainer.publish.place import Place, find_place
from trainer.registry import Registry
from trainer.registry.version import parse_id
from trainer.settings.schema import TrainSettings

NO_TERMINAL = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Gated:
    """`said`: in a sentence or two. `status`: 0 pass, 1 fail, 3 undecided."""

    finished: Finished
    said: str

    @property
    def status(self) -> int:
        return self.finished.status


def for_version(settings: GateSettings, version: str) -> GateSettings:
    """With the candidate being this version: asked for by its own name, or by the alias that the settings name, which
    must then answer with it. Raises RegistryError for what is no version's name."""
    parse_id(version)
    candidate = settings.generators[settings.candidate]
    by_name = expected_version(candidate) == candidate.model
    asked = candidate.model_copy(update={"adapter": version, "model": version if by_name else candidate.model})
    return settings.model_copy(update={"generators": {**settings.generators, settings.candidate: asked}})


def gate_version(
    settings: TrainSettings,
    version: str,
    *,
    holdout: bool = False,
    again: bool = False,
    config: Path | None = None,
    console: Console = NO_TERMINAL,
    say: Callable[[str], None],
) -> Gated:
    """`settings`: of the adapter, whose `gate` section names the gate's settings (`config` wins over it) and whose
    `publish` section says where to bring it. Raises SettingsError, GateError, PublishError, RegistryError, DataError
    and OSError: nothing is noted then."""
    named = config if settings.gate is None or config is not None else Path(settings.gate.config)
    if named is None:
        raise ValueError("no gate is named")
    gate = load_gate(named).settings
    registry = Registry(Path(settings.registry))
    version = registry.get(version).id
    gate = for_version(gate, version)
    alias = None if settings.gate is None else settings.gate.alias
    place = _place(settings)
    loaded = place is not None and stage(place, version, alias, say)
    try:
        gated = gate_served(gate, version, registry, holdout=holdout, again=again, console=console)
    except BaseException:
        if place is not None and loaded:
            unstage(place, version, alias, say)
        raise
    if place is not None and loaded and gated.status:
        unstage(place, version, alias, say)
    return gated


def gate_served(
    settings: GateSettings,
    version: str | None,
    registry: Registry | None,
    *,
    holdout: bool = False,
    again: bool = False,
    remarks: tuple[str, ...] = (),
    console: Console = NO_TERMINAL,
) -> Gated:
    """What answers already. With a version and a registry the verdict goes into its history."""
    with shown_progress(console) as tell:
        finished = asyncio.run(
            run_gate(settings, version=version, holdout=holdout, again=again, tell=tell, remarks=remarks)
        )
    if version is not None and registry is not None:
        note_verdict(registry, version, finished, terms_of(settings))
    return Gated(finished, said_of(finished))


def note_verdict(registry: Registry, version: str, finished: Finished, terms: Mapping[str, Any]) -> None:
    """Once for one verdict: a run that is looked at again adds nothing, whatever was noted since. The last word holds,
    and an old pass must not become it by being read again. `terms`: what the gate asked for (`terms_of`)."""
    verdict = finished.verdict
    facts = {
        "verdict": verdict.outcome,
        "gate": finished.record.gate,
        "plan_sha256": verdict.plan_sha256,
        "set_sha256": verdict.set_sha256,
        "holdout": verdict.holdout,
        "run": str(finished.folder.absolute()),
        "accepted": {name: f"{rate.accepted} of {rate.n}" for name, rate in verdict.generators.items()},
        "terms": dict(terms),
    }
    same = [name for name in facts if name != "run"]  # its folder may have been moved
    for event in registry.state(version).history:
        if event.event == "gated" and all(event.facts.get(name) == facts[name] for name in same):
            return
    registry.note(version, "gated", **facts)


def said_of(finished: Finished) -> str:
    verdict = finished.verdict
    rates = ", ".join(f"{name} {rate.accepted} of {rate.n}" for name, rate in verdict.generators.items())
    words = {"pass": "the gate passed it", "fail": "the gate refused it", "undecided": "the gate is undecided"}
    return f"{words[verdict.outcome]} (accepted: {rates}). {verdict.why} Report: {finished.folder / 'report.html'}"


def _place(settings: TrainSettings) -> Place | None:
    where = settings.publish
    if where is None:
        return None
    return find_place(
        where.policy, where.alias, where.backend, settings.registry, max_lora_rank=settings.serving.max_lora_rank
    )
