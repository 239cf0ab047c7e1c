"""The experiment's files: where everything is, and the shipped settings with this run's addresses in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from trainer.environment import root
from trainer.gate.experiment.parts import KEY, Parts
from trainer.gate.load import load_gate
from trainer.gate.settings import GateSettings, GeneratorSettings
from trainer.settings.load import load_settings
from trainer.settings.schema import TrainSettings

RECIPE = root() / "trainer" / "recipes" / "experiment.yaml"
GATE = root() / "trainer" / "recipes" / "experiment-gate.yaml"
HANDBOOK = root() / "trainer" / "gate" / "handbook"
CONTROL, CANDIDATE, CLOUD, ALIAS = "base", "candidate", "cloud", "handbook"
"""Aliases of the experiment's gateway. The last is the one that applications would ask for."""
PASSAGES, EDITION = 2, 2026
"""Of each question; and the handbook's edition that holds now."""
WORSE_STEPS = 60
"""Optimizer steps of the adapter that learns wrong answers: enough to learn their form."""


class ExperimentError(RuntimeError):
    """A step of the experiment failed; the message says which, and what is left."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`questions`: of each set at most so many; None: all. `trained`: an adapter's folder that is gated in place of one
    that is trained. `embedder`: minilm, or none: words alone."""

    home: Path
    work: Path
    questions: int | None = None
    embedder: str = "minilm"
    cloud: bool = True
    easy: bool = True
    worse: bool = True
    trained: Path | None = None
    max_steps: int | None = None


def training(settings: Settings, parts: Parts, rows: Path | None = None, max_steps: int | None = None) -> Path:
    """A settings file for the shipped recipe in this run's folder; `rows`: others than its own."""
    changes: dict[str, Any] = {
        "base.model": str(parts.box.model_dir),
        "runs": str(settings.work / "runs"),
        "registry": str(settings.work / "registry"),
        "publish": {"policy": str(parts.policy), "alias": ALIAS, "backend": "box"},
    }
    if rows is not None:
        changes["data.train"] = str(rows)
    if max_steps is not None:
        changes["length.max_steps"] = max_steps
    made = load_settings(RECIPE, changes, require_files=False).settings
    file = settings.work / ("experiment.yaml" if rows is None else "worse.yaml")
    file.write_text(yaml.safe_dump(made.model_dump(mode="json", exclude_none=True), sort_keys=False))
    return file


def read_recipe() -> TrainSettings:
    """The shipped one, as it stands."""
    return load_settings(RECIPE, require_files=False).settings


def gate(parts: Parts, work: Path, frozen: Path, name: str | None = None, *, cloud: bool = False) -> GateSettings:
    """The shipped gate against this run's gateway, on this set. `cloud`: with the base model on Bedrock's stand-in."""
    shipped = load_gate(GATE, require_files=False, require_keys=False).settings
    address = {"base_url": parts.gateway_url, "key_env": KEY}
    control, candidate = shipped.generators[shipped.control], shipped.generators[shipped.candidate]
    generators = {
        shipped.control: control.model_copy(update={"model": CONTROL, **address}),
        shipped.candidate: candidate.model_copy(update={"model": CANDIDATE, **address}),
    }
    sampling = shipped.sampling
    if cloud:
        sampling = sampling.model_copy(update={"seed": None})  # Converse takes none; all are asked for the same
        generators["cloud"] = GeneratorSettings(
            model=CLOUD, note="the base model and retrieval, on Bedrock", base_url=parts.gateway_url, key_env=KEY
        )
    return shipped.model_copy(
        update={
            "name": name or shipped.name, "questions": str(frozen), "holdout": None,
            "out": str(work / "gates"), "generators": generators, "sampling": sampling,
            "ledger": str(parts.ledger),
        }
    )  # fmt: skip


def wrong_rows(source: Path, target: Path) -> int:
    """The recipe's rows with each answer under another row's question; how many there are."""
    rows = [msgspec.json.decode(line, type=dict[str, Any]) for line in source.read_bytes().splitlines() if line.strip()]
    answers = [row["messages"][-1] for row in rows]
    shift = _shift([answer["content"] for answer in answers])
    turned = [
        {**row, "messages": [*row["messages"][:-1], answers[(number + shift) % len(answers)]]}
        for number, row in enumerate(rows)
    ]
    target.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in turned))
    return len(turned)


def _shift(answers: Sequence[str]) -> int:
    """By so many rows they are turned: the one with which the fewest keep an answer of the same words."""

    def kept(shift: int) -> int:
        return sum(answers[number] == answers[(number + shift) % len(answers)] for number in range(len(answers)))

    if len(answers) < 2:
        raise ExperimentError("one row has no other row's answer to learn: it takes two or more")
    return min(range(1, len(answers)), key=lambda shift: (kept(shift), shift))


def new_work(home: Path) -> Path:
    """A folder of its own for each experiment: home/experiments/1, 2 and so on."""
    parent = home / "experiments"
    parent.mkdir(parents=True, exist_ok=True)
    number = max((int(entry.name) for entry in parent.iterdir() if entry.name.isdecimal()), default=0)
    while True:
        number += 1
        try:
            (parent / str(number)).mkdir()
            return parent / str(number)
        except FileExistsError:
            continue
