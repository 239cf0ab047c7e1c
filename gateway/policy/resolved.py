"""A policy as it resolved: every setting with its value, secrets masked, defaults told apart from what was written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from gateway.policy.problem import PathInPolicy, dotted
from gateway.policy.schema import Policy

MASK = "**********"


def masked(policy: Policy) -> dict[str, Any]:
    """The settings as JSON values: secrets, key hashes and credentials inside URLs are masked."""
    return {key: _mask(value, key) for key, value in policy.model_dump(mode="json").items()}


def default_paths(policy: Policy) -> list[str]:
    """The dotted paths of the settings that the file left out; a section left out stands for all in it."""
    return [dotted(path) for path in _defaults(policy, ())]


def settings_lines(policy: Policy) -> Iterator[str]:
    """The same as lines of YAML, with `# default` behind what the file left out."""
    yield from _lines(masked(policy), set(_defaults(policy, ())), ())


def _mask(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {name: _mask(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_mask(item, key) for item in value]
    if isinstance(value, str):
        return MASK if key == "sha256" else re.sub(r"//\S*@", f"//{MASK}@", value)
    return value


def _defaults(value: Any, path: PathInPolicy) -> Iterator[PathInPolicy]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            if name in value.model_fields_set:
                yield from _defaults(getattr(value, name), (*path, name))
            else:
                yield (*path, name)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _defaults(item, (*path, name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _defaults(item, (*path, index))


def _lines(value: Any, defaults: set[PathInPolicy], path: PathInPolicy) -> Iterator[str]:
    entries: Any = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in entries:
        here = (*path, name)
        label = "- " if isinstance(name, int) else f"{_scalar(name)}: "
        left_out = here in defaults
        mark = "  # default" if left_out else ""
        indent = "  " * len(path)
        if isinstance(item, dict | list) and item:
            yield f"{indent}{label.rstrip()}{mark}"
            yield from (f"{line}  # default" if left_out else line for line in _lines(item, defaults, here))
        else:
            yield f"{indent}{label}{_scalar(item)}{mark}"


def _scalar(value: Any) -> str:
    """One value as YAML reads it back: text that could be taken for something else is quoted."""
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z_/](?:[A-Za-z0-9_./@ -]*[A-Za-z0-9_])?", value)
    if plain and value.lower() not in ("true", "false", "null", "yes", "no", "on", "off"):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
