"""A registry of adapters: immutable versions, where each comes from, and what became of it. No torch needed.

Its names are imported when they are first asked for: a command's `--help` reads no registry.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.registry.errors import RegistryError
    from trainer.registry.events import Event
    from trainer.registry.lineage import Base, Data, Lineage, base_of
    from trainer.registry.registry import Registry
    from trainer.registry.state import Serving, State
    from trainer.registry.version import Version

__all__ = ["Base", "Data", "Event", "Lineage", "Registry", "RegistryError", "Serving", "State", "Version", "base_of"]

_HOMES = {
    "RegistryError": "errors",
    "Event": "events",
    "Registry": "registry",
    "Serving": "state",
    "State": "state",
    "Version": "version",
} | dict.fromkeys(("Base", "Data", "Lineage", "base_of"), "lineage")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
