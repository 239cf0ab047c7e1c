"""The name of one version of one adapter: `handbook@v0007`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from trainer.registry.errors import RegistryError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}")  # as trainer.settings.schema.AdapterName
_FOLDER = re.compile(r"v(\d{4,9})")


@dataclass(frozen=True)
class Version:
    """A version that is in the registry, whole. `folder` never changes once it exists."""

    name: str
    number: int
    folder: Path

    @property
    def id(self) -> str:
        """Also the model name under which vLLM serves it."""
        return version_id(self.name, self.number)

    @property
    def adapter(self) -> Path:
        """The folder that vLLM and peft load."""
        return self.folder / "adapter"

    def __str__(self) -> str:
        return self.id


def version_id(name: str, number: int) -> str:
    return f"{name}@{folder_name(number)}"


def folder_name(number: int) -> str:
    return f"v{number:04d}"


def number_of(folder: str) -> int | None:
    """The number of a version's folder; None for any other name."""
    found = _FOLDER.fullmatch(folder)
    return int(found[1]) if found and folder == folder_name(int(found[1])) else None


def is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def require_name(name: str) -> str:
    """The name itself. Raises RegistryError for one that could not be an adapter's."""
    if not is_name(name):
        raise RegistryError(
            f"{name!r} is no adapter's name: up to 48 small letters, digits, '.', '_' and '-', a letter or digit first"
        )
    return name


def parse_id(text: str) -> tuple[str, int]:
    """`handbook@v0007` -> ("handbook", 7). Raises RegistryError."""
    name, at, folder = text.partition("@")
    number = number_of(folder)
    if not at or number is None or not is_name(name):
        raise RegistryError(f"{text!r} names no version: it is written like handbook@v0007")
    return name, number
