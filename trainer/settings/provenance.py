"""Where each setting came from: said at the start of a run and kept in its record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel

if TYPE_CHECKING:
    from trainer.settings.load import Loaded

Source: TypeAlias = Literal["file", "default", "command line"]


def sources(settings: BaseModel, overrides: Mapping[str, Any]) -> dict[str, Source]:
    """The source of every setting, by dotted name. `settings` as validated from the file, without the overrides."""
    found: dict[str, Source] = {}
    for name, written in _leaves(settings, (), written=True):
        found[name] = "command line" if name in overrides else "file" if written else "default"
    return found


def values(settings: BaseModel) -> dict[str, Any]:
    """Every setting as a plain JSON value, by dotted name, in the order of the schema."""
    flat: dict[str, Any] = {}
    data = settings.model_dump(mode="json")
    for name, _ in _leaves(settings, (), written=True):
        value: Any = data
        for part in name.split("."):
            value = value[part]
        flat[name] = value
    return flat


def told(loaded: Loaded) -> dict[str, dict[str, Any]]:
    """`settings`: each with its value and its source, by dotted name: JSON values."""
    flat = values(loaded.settings)
    return {"settings": {name: {"value": value, "source": loaded.provenance[name]} for name, value in flat.items()}}


def lines(settings: BaseModel, provenance: Mapping[str, Source]) -> Iterator[str]:
    """One line a setting: its name, its value, where that came from."""
    flat = values(settings)
    width = max(map(len, flat))
    for name, value in flat.items():
        yield f"{name:<{width}}  {_shown(value)}  ({provenance[name]})"


def _leaves(value: BaseModel, path: tuple[str, ...], *, written: bool) -> Iterator[tuple[str, bool]]:
    for name in type(value).model_fields:
        item, here = getattr(value, name), written and name in value.model_fields_set
        if isinstance(item, BaseModel):
            yield from _leaves(item, (*path, name), written=here)
        else:
            yield ".".join((*path, name)), here


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value) if value != "" else '""'
