"""What is asked about: a settings file, or a model with default settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.policy.problem import SettingsError
from trainer.preflight.ladder import AskedWronglyError, read_config
from trainer.settings.load import load_settings
from trainer.settings.schema import TrainSettings


@dataclass(frozen=True)
class Question:
    """`settings`: plain values. `typed`: the same. `config`: the settings file, if one was given."""

    model: Path
    settings: dict[str, Any]
    typed: TrainSettings
    config: Path | None


def read_question(config: Path | None, model: Path | None) -> Question:
    """Raises AskedWronglyError, with every mistake of the settings file."""
    if config is not None:
        try:
            typed = load_settings(config).settings
        except SettingsError as error:
            raise AskedWronglyError(str(error)) from None
        base = Path(typed.base.model)
    else:
        assert model is not None
        base = model.absolute()
        read_config(base)
        folder = base if base.is_dir() else base.parent
        typed = TrainSettings.model_validate(
            {"version": 1, "name": "preflight", "base": {"model": str(folder)}, "data": {"train": "(none)"}}
        )
    return Question(base, typed.model_dump(mode="json"), typed, config)
