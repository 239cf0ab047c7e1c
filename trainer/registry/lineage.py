"""Where a version comes from: its base, its data, its settings, its curve. Written once, with the version itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from trainer.export.layout import LayoutError, weight_files
from trainer.registry.durable import sha256_of_file
from trainer.registry.errors import RegistryError

SCHEMA = 1
FILE = "lineage.json"


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """The model the adapter was made for. `config_sha256` is null when its folder was not at hand (an import)."""

    path: str
    config_sha256: str | None = None
    weights_sha256: str | None = None


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """The rows it learned from."""

    path: str
    sha256: str
    rows: int


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What adapter_config.json says."""

    rank: int
    alpha: float
    targets: tuple[str, ...]


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known about a version when it is made. What happens to it later is in the registry's events.

    The caller gives `origin`, `base`, `data`, `settings`, `provenance`, `run`, `versions`; the registry fills the rest.
    `run` is the training run's record (curve and totals); `provenance` says of each setting where it was set;
    `files` holds the SHA-256 of every other file of the version, by its path within it.
    """

    schema: int = SCHEMA
    version: str = ""
    created_at: str = ""
    origin: Literal["trained", "imported"]
    base: Base | None = None
    data: Data | None = None
    adapter: Shape | None = None
    settings: dict[str, Any] = {}
    provenance: dict[str, Any] = {}
    run: dict[str, Any] = {}
    versions: dict[str, str] = {}
    weights_sha256: str = ""
    files: dict[str, str] = {}


class _SchemaOnly(msgspec.Struct):
    schema: int


def encode(lineage: Lineage) -> bytes:
    return msgspec.json.format(msgspec.json.encode(lineage), indent=2) + b"\n"


def decode(content: bytes, where: Path) -> Lineage:
    """Raises RegistryError for a lineage that is broken, or newer than this program."""
    try:
        schema = msgspec.json.decode(content, type=_SchemaOnly).schema
        if schema > SCHEMA:
            raise RegistryError(
                f"{where} has schema {schema} and this program reads up to {SCHEMA}: a newer Crossover wrote it; "
                "update this one"
            )
        return msgspec.json.decode(content, type=Lineage)
    except msgspec.DecodeError as error:
        raise RegistryError(f"{where} cannot be read: {error}") from None


def base_of(folder: Path, *, hash_weights: bool = True) -> Base:
    """The base in `folder`, by hash. Its weights are read whole: 16 GB take about half a minute; or left out.

    The hash of the weights is that of the lines `name sha256`, by name, of the safetensors files that a reader loads:
    what lies beside them (Mistral's consolidated.safetensors) is no part of the model. None when there are none.
    Raises RegistryError when there is no config.json.
    """
    import hashlib

    config = folder / "config.json"
    if not config.is_file():
        raise RegistryError(f"{folder} is not a model's folder: it has no config.json")
    weights = None
    try:
        files = [folder / name for name in weight_files(folder)]
    except LayoutError:
        files = []
    if hash_weights and files and all(file.is_file() for file in files):
        lines = "".join(f"{file.name} {sha256_of_file(file)}\n" for file in files)
        weights = hashlib.sha256(lines.encode()).hexdigest()
    return Base(path=str(folder.absolute()), config_sha256=sha256_of_file(config), weights_sha256=weights)
