"""For `crossover adapter train`: the training rungs, or at once "passed" if nothing has changed since they passed.

Only climbs that held are remembered: a wall is asked about again each time, since somebody is mending it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from trainer.preflight.ladder import Asked, Watcher, climb, read_config
from trainer.preflight.rung import Report
from trainer.preflight.stack import Stack

_KEPT = 50  # reports in the cache; the oldest go


def quick(
    model: Path, settings: Mapping[str, Any], python: Path, cache: Path, root: Path, watcher: Watcher | None = None
) -> Report:
    """Climb the rungs that training needs (resolve, import, config, tiny model, kernel) unless the cache has them.

    model: the base's folder. settings: a `TrainSettings` as plain values. cache: a folder, made if need be. The
    report's `cached` says which it was; `good` whether training can start. Raises AskedWronglyError, StackError.
    """
    stack = Stack(python)
    file = cache / f"{cache_key(stack, model, settings)}.json"
    if (known := _read(file)) is not None:
        return msgspec.structs.replace(known, cached=True)
    report = climb(Asked(model, stack, None, settings, root, serve=False, export=False), watcher)
    if report.good:
        remember(report, file)
    return report


def cache_key(stack: Stack, model: Path, settings: Mapping[str, Any]) -> str:
    """What the training rungs depend on: the environment, config.json, the adapter's and the device's settings, and
    this project's own code of models and of these rungs."""
    chosen = {name: settings.get(name) for name in ("lora", "device", "serving")}
    marks = [
        stack.fingerprint,
        json.dumps(read_config(model), sort_keys=True),
        json.dumps(chosen, sort_keys=True),
        _own_code(),
    ]
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:24]


def remember(report: Report, file: Path) -> None:
    """Write it whole or not at all; drop the oldest of many."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_bytes(msgspec.json.encode(report))
    part.replace(file)
    kept = sorted(file.parent.glob("*.json"), key=lambda each: each.stat().st_mtime, reverse=True)
    for old in kept[_KEPT:]:
        old.unlink(missing_ok=True)


def _read(file: Path) -> Report | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError):
        return None


def _own_code() -> str:
    trainer = Path(__file__).parents[1]
    files = sorted([*trainer.glob("model/**/*.py"), *trainer.glob("preflight/**/*.py")])
    return " ".join(f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files)
