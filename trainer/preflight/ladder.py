"""The whole climb: seven rungs, then three verdicts. The environments are asked in processes of their own."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.preflight.exportable import climb_export
from trainer.preflight.resolve import LAYER_LAGS, resolve
from trainer.preflight.rung import (
    CONFIG,
    EXPORTABLE,
    FITS,
    IMPORT,
    KERNEL,
    RESOLVE,
    SERVABLE,
    TINY,
    Report,
    Rung,
    Verdict,
)  # fmt: skip
from trainer.preflight.servable import climb_serving
from trainer.preflight.stack import Stack
from trainer.preflight.trainable import climb_training

HELD = "every rung held"
TRAINING_RUNGS = (RESOLVE, IMPORT, CONFIG, TINY, KERNEL)


class AskedWronglyError(ValueError):
    """The model cannot be looked at; the message says what to give."""


@dataclass(frozen=True)
class Asked:
    """What a climb is about.

    model: the base's folder, or a config.json. settings: a `TrainSettings` as plain values. wanted: requirements to be
    added to the environment. serve, export: climb those rungs too. load: let vLLM load the tiny model for real. own:
    try the trainer's own code on the tiny model. required: the verdicts that must be yes.
    """

    model: Path
    training: Stack
    serving: Stack | None
    settings: Mapping[str, Any]
    root: Path
    wanted: Sequence[str] = ()
    serve: bool = True
    export: bool = True
    load: bool = True
    own: bool = True
    required: Sequence[str] = ("trainable",)


class Watcher:
    """Told what happens as it happens. This one says nothing."""

    def doing(self, rung: str, step: str) -> None:
        """A rung's step begins."""

    def climbed(self, rung: Rung) -> None:
        """A rung is done."""


Fits = Callable[[], Rung]


def climb(asked: Asked, watcher: Watcher | None = None, *, fits: Fits | None = None) -> Report:
    """Climb. `fits`: the rung that estimates memory and time, when the training rungs passed."""
    watcher = watcher or Watcher()
    config = read_config(asked.model)
    started = time.monotonic()
    rungs: list[Rung] = []

    def add(rung: Rung) -> None:
        rungs.append(rung)
        watcher.climbed(rung)

    watcher.doing(RESOLVE, "ask uv")
    add(resolve(asked.training, asked.wanted))
    with tempfile.TemporaryDirectory(prefix="crossover-preflight-") as folder:
        work = Path(folder)
        climbed, facts = climb_training(
            asked.training, config, asked.settings, work, root=asked.root, own=asked.own, say=watcher.doing
        )
        for rung in climbed:
            add(rung)
        if asked.serve:
            watcher.doing(SERVABLE, "ask vLLM")
            add(climb_serving(
                asked.serving, config, asked.settings, work, facts, load=asked.load, say=watcher.doing
            ))  # fmt: skip
    if asked.export:
        watcher.doing(EXPORTABLE, "check the model's files")
        add(climb_export(config, asked.model if asked.model.is_dir() else None))
    if fits is not None and all(rung.passed for rung in rungs if rung.name in (IMPORT, CONFIG, TINY)):
        watcher.doing(FITS, "measure the device")
        add(fits())
    about = {"model": str(asked.model), "training": str(asked.training.python)}
    if asked.serving is not None:
        about["serving"] = str(asked.serving.python)
    seconds = round(time.monotonic() - started, 2)
    return Report(about, tuple(rungs), verdicts(rungs), seconds, tuple(asked.required))


def verdicts(rungs: Sequence[Rung]) -> tuple[Verdict, ...]:
    """servable, trainable, exportable: yes, no with the wall and its mend, or why it was not asked."""
    by_name = {rung.name: rung for rung in rungs}
    parts = {"servable": (SERVABLE,), "trainable": (*TRAINING_RUNGS, FITS), "exportable": (EXPORTABLE,)}
    return tuple(
        _verdict(name, [by_name[each] for each in wanted if each in by_name]) for name, wanted in parts.items()
    )


def _verdict(name: str, rungs: list[Rung]) -> Verdict:
    if not rungs:
        return Verdict(name, "not asked", "it was left out")
    walls = [wall for rung in rungs for wall in rung.walls]
    lagging = [wall for wall in walls if wall.name == LAYER_LAGS]
    wall = next((wall for wall in walls if wall not in lagging), None)
    if wall is not None:
        return Verdict(name, "no", f"{wall.what} Mend: {wall.mend}")
    # Resolving needs an index, and the estimate a shape: without them the rungs that were climbed still prove it.
    unasked = next((rung for rung in rungs if rung.status == "not asked" and rung.name not in (RESOLVE, FITS)), None)
    if unasked is not None:
        return Verdict(name, "not asked", f"{unasked.name}: {unasked.said}")
    if lagging:
        without = ", ".join(wall.packages[0] for wall in lagging)
        return Verdict(name, "yes", f"by this trainer, which needs no {without}: that cannot be installed beside it")
    return Verdict(name, "yes", rungs[-1].said if len(rungs) == 1 else HELD)


def read_config(model: Path) -> dict[str, Any]:
    """The parsed config.json of a folder, or of the file itself. Raises AskedWronglyError."""
    file = model / "config.json" if model.is_dir() else model
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise AskedWronglyError(f"{file} cannot be read ({problem.strerror}): name a model's folder") from None
    except ValueError as problem:
        raise AskedWronglyError(f"{file} is not JSON: {problem}") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise AskedWronglyError(f"{file} has no model_type: it is not a model's config.json")
    return config
