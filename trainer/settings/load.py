"""Read a training settings file, or say everything that is wrong with it at once: values, files, what contradicts.

Nothing here needs torch: every mistake that the file itself shows is said before any weight loads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.policy.checks import Broken
from gateway.policy.load import parse_settings, read_text
from gateway.policy.problem import PathInPolicy, Problem, SettingsError
from trainer.settings.provenance import Source, sources
from trainer.settings.schema import TrainSettings

PATHS: tuple[tuple[str, ...], ...] = (
    ("base", "model"),
    ("data", "train"),
    ("data", "evaluation"),
    ("data", "gate_questions"),
    ("runs",),
    ("registry",),
    ("gate", "config"),
    ("export", "folder"),
    ("publish", "policy"),
)
"""The settings that name files and folders: relative to the settings file."""

_FILES = {
    ("data", "train"): "the training rows",
    ("data", "evaluation"): "the held-out rows",
    ("data", "gate_questions"): "the gate's questions",
    ("gate", "config"): "the gate's settings",
    ("publish", "policy"): "the gateway's policy",
}
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")


@dataclass(frozen=True, slots=True)
class Loaded:
    """`settings` with absolute paths; `provenance`: where each one came from, by dotted name; `path`: the file."""

    settings: TrainSettings
    provenance: dict[str, Source]
    path: Path


def load_settings(
    path: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    require_files: bool = True,
) -> Loaded:
    """The settings of the file at `path`.

    overrides: settings given on the command line, by dotted name (`length.max_steps`); they win over the file.
    environ: where `${NAME}` is looked up; default: the process's environment.
    require_files: also an error where the base model or a data file is not there.

    Raises SettingsError with all errors, each with its file, line and column.
    """
    file = Path(path).expanduser().absolute()

    given = dict(overrides or {})

    def check(data: Any) -> Iterator[Broken]:
        yield from _contradictions(_laid_over(data, given))
        if require_files:
            yield from _missing_files(data, file.parent)

    text = read_text(path)
    found = parse_settings(TrainSettings, text, str(path), os.environ if environ is None else environ, check=check)
    settings = _changed(found, {".".join(names): where for names, where in _absolute(found, file.parent)} | given)
    return Loaded(settings, sources(found, given), file)


def _changed(settings: TrainSettings, values: Mapping[str, Any]) -> TrainSettings:
    data = settings.model_dump()
    for name, value in values.items():
        *sections, last = name.split(".")
        inner = data
        for section in sections:
            inner = inner[section]
        if last not in inner:
            raise KeyError(name)
        inner[last] = value
    try:
        return TrainSettings.model_validate(data)
    except ValidationError as error:
        raise SettingsError(
            [
                Problem("command line", 1, 1, ".".join(map(str, line["loc"])), None, line["msg"])
                for line in error.errors(include_url=False, include_input=False)
            ]
        ) from None


def _laid_over(data: Any, given: Mapping[str, Any]) -> Any:
    """The file's raw values with those of the command line; what is no section is left for the schema to name."""
    if not isinstance(data, dict):
        return data
    merged = dict(data)
    for name, value in given.items():
        section, _, last = name.rpartition(".")
        if not section:
            merged[last] = value
        elif isinstance(inner := merged.get(section, {}), dict):
            merged[section] = inner | {last: value}
    return merged


def _absolute(settings: TrainSettings, folder: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    for names in PATHS:
        value: Any = settings
        for name in names:
            value = getattr(value, name, None)
        if isinstance(value, str):
            yield names, str(_resolved(value, folder))


def _resolved(value: str, folder: Path) -> Path:
    return Path(os.path.normpath(folder / Path(value).expanduser()))


# -- what the file's values alone, and the disk, already tell ---------------------------------------------------------


def _contradictions(data: Any) -> Iterator[Broken]:
    length = _get(data, "length")
    endless = isinstance(length, dict) and "epochs" in length  # left out, it has a default
    if endless and length["epochs"] is None and length.get("max_steps") is None:
        yield Broken(
            ("length",),
            "nothing says how many steps the schedule has",
            "give epochs or max_steps; max_seconds may end the run sooner",
        )
    device = _get(data, "device")
    if _get(device, "fp8") is True and _get(device, "engine") == "peft":
        yield Broken(("device", "fp8"), "engine peft does not compute in 8 bits", "set engine: lean, or fp8: false")
    if _get(device, "fp8") is True and _get(device, "kind") == "cpu":
        yield Broken(("device", "fp8"), "a CPU does not compute in 8 bits", "set fp8: false, or train on a GPU")
    targets = _get(_get(data, "lora"), "targets")
    if isinstance(targets, list):
        if not targets:
            yield Broken(("lora", "targets"), "names no layer", "name some, or write all-linear")
        for index, name in enumerate(targets):
            if isinstance(name, str) and name.split(".")[-1] in ("lm_head", "embed_tokens"):
                yield Broken(
                    ("lora", "targets", index),
                    "an adapter on the head or the embedding cannot be merged where the two share one tensor, "
                    "and servers do not load it",
                    "leave it out: all-linear leaves it out too",
                    show_value=True,
                )


def _missing_files(data: Any, folder: Path) -> Iterator[Broken]:
    for names in PATHS:
        value: Any = data
        for name in names:
            value = _get(value, name)
        if not isinstance(value, str) or not value:
            continue
        where, path = _resolved(value, folder), names
        if names == ("base", "model"):
            yield from _incomplete_model(where, path)
        elif names in _FILES and not where.is_file():
            state = "is a folder" if where.is_dir() else "is not there"
            yield Broken(path, f"{_FILES[names]}: {where} {state}", "paths are relative to this settings file")
        elif names in (("runs",), ("registry",)) and where.exists() and not where.is_dir():
            yield Broken(path, f"{where} is a file, not a folder", "name another place")


def _incomplete_model(folder: Path, path: PathInPolicy) -> Iterator[Broken]:
    if not folder.is_dir():
        yield Broken(path, f"the base model: {folder} is not a folder", "nothing is fetched: put the model there")
        return
    if not (folder / "config.json").is_file():
        yield Broken(path, f"{folder} has no config.json", "name a model's folder in Hugging Face form")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        yield Broken(path, f"{folder} has no tokenizer ({', '.join(_TOKENIZERS)})", "copy it from the base model")
    if not any(folder.glob("*.safetensors")):
        yield Broken(path, f"{folder} has no weights (*.safetensors)", "convert the weights to safetensors first")


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None
