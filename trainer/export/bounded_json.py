"""JSON of a model or an adapter that came from somebody else: every way it may be bad is a ValueError."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TypeGuard

MOST_BYTES = 8 << 20
"""More than any config.json, adapter_config.json or index of shards."""
_MOST_DIGITS = 30


def read_json(file: Path, most_bytes: int = MOST_BYTES) -> Any:
    """The content of a file. Raises OSError, and ValueError for what `parse` refuses or a file above `most_bytes`."""
    with file.open("rb") as opened:
        raw = opened.read(most_bytes + 1)
    if len(raw) > most_bytes:
        raise ValueError(f"it is longer than {most_bytes:,} bytes")
    return parse(raw)


def parse(raw: bytes) -> Any:
    """Raises ValueError for what is no JSON, nests too deeply, or holds a number that no setting can be."""
    try:
        return json.loads(raw.decode("utf-8"), parse_int=_whole, parse_float=_fraction, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it nests too deeply") from None


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"it holds a number of {len(digits)} digits")
    return int(digits)


def _fraction(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"it holds {text[:40]}, which is no finite number")
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"it holds {name}, which is no number in JSON")


def is_number(value: object) -> TypeGuard[int | float]:
    """A finite number; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
