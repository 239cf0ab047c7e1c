"""What a gate asks for, in short. A verdict counts for a publication where these are still the settings' own: a gate of
the same name with a lower bar is another gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from trainer.data.problem import DataError
from trainer.gate.frozen import read_frozen
from trainer.gate.load import load_gate
from trainer.gate.prompt import sha256_of_set
from trainer.gate.settings import GateSettings


class NamedGate(msgspec.Struct, frozen=True):
    """The gate that the settings of an adapter name."""

    name: str
    terms: dict[str, Any]
    set_sha256: str | None
    """Of its frozen questions; None: they are not on this machine."""


def terms_of(settings: GateSettings) -> dict[str, Any]:
    """By name, as JSON has them. No addresses: they may differ from machine to machine."""
    test = settings.test
    return {
        "bar": settings.bar,
        "alpha": test.alpha,
        "minimum_gain": test.minimum_gain,
        "margin": test.margin,
        "control": settings.generators[settings.control].model,
        "live": settings.live,
        "judges": {name: judge.rule or judge.model for name, judge in settings.judges.items()},
        "calibrated": settings.calibration is not None,
    }


def named_gate(path: str | Path | None) -> NamedGate | None:
    """Of a settings file that may belong to another machine. None: no file. Raises SettingsError."""
    if path is None:
        return None
    settings = load_gate(path, require_files=False, require_keys=False).settings
    try:
        set_sha256 = sha256_of_set(read_frozen(Path(settings.questions)))
    except (DataError, OSError):
        set_sha256 = None
    return NamedGate(settings.name, terms_of(settings), set_sha256)
