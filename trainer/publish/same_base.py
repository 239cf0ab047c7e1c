"""Whether an adapter was made for the model that vLLM serves: a delta on other weights loads, and answers nonsense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trainer.publish.errors import PublishError, UnreachableError
from trainer.publish.place import Place
from trainer.registry import RegistryError, Version
from trainer.registry.durable import sha256_of_file
from trainer.registry.lineage import Base

_HOW_KEPT = ("quantization_config", "torch_dtype", "dtype", "transformers_version", "_name_or_path", "use_cache")
"""What differs between copies of one model: how it is kept, not what it is."""


def require_same_base(place: Place, version: Version) -> list[str]:
    """Warnings where it cannot be told. Raises PublishError for another base, before anything is loaded."""
    try:
        base = place.registry.lineage(version).base
        roots = place.server.bases()
    except (RegistryError, OSError, UnreachableError, PublishError) as error:
        return [f"whether {version} was made for what {place.backend} serves is not known: {error}"]
    unknown = f"whether {version} was made for the model that {place.backend} serves is not known"
    if base is None:
        return [f"{unknown}: its lineage names no base"]
    if not roots:
        return [f"{unknown}: the server does not tell where that comes from"]
    verdicts = [_same(base, root) for root in roots]
    if True in verdicts:
        return []
    if None in verdicts:
        return [f"{unknown}: it was made for {base.path}, and the server has {', '.join(roots)}"]
    raise PublishError(
        "registry", f"{version} was made for {base.path}, and {place.backend} serves {', '.join(roots)}, another model "
        "(its config.json differs): serve that base, or train on this one. Nothing was done",
    )  # fmt: skip


def _same(base: Base, root: str) -> bool | None:
    """None: it cannot be told from here."""
    served = Path(root) / "config.json"
    try:
        if base.config_sha256 is not None and served.is_file():
            if sha256_of_file(served) == base.config_sha256:
                return True
            return _same_but_for_how_it_is_kept(Path(base.path) / "config.json", served)
    except OSError:
        pass
    return True if base.path == root else None


def _same_but_for_how_it_is_kept(made_for: Path, served: Path) -> bool:
    """A quantized copy has a config.json of its own."""
    if not made_for.is_file():
        return False
    try:
        return _model_of(made_for) == _model_of(served)
    except (OSError, ValueError, RecursionError):
        return False


def _model_of(config: Path) -> dict[str, Any]:
    read = json.loads(config.read_bytes())
    if not isinstance(read, dict):
        raise ValueError
    return {key: value for key, value in read.items() if key not in _HOW_KEPT}
