"""Take in an adapter that was made elsewhere, if vLLM could serve it."""

from __future__ import annotations

from pathlib import Path

from trainer.registry.adapter_files import read_config
from trainer.registry.errors import RegistryError
from trainer.registry.lineage import Base, Lineage, base_of
from trainer.registry.registry import Registry
from trainer.registry.servable import servable
from trainer.registry.version import Version


def import_adapter(
    registry: Registry, folder: Path, name: str, *, max_lora_rank: int, base: Path | None = None
) -> Version:
    """Add peft's adapter in `folder` as the next version of `name`; its lineage says that it was imported.

    `base` is the folder of its base model; left out: what the adapter itself names, if that folder is here.
    Raises RegistryError with every reason why it could not be served.
    """
    config = read_config(folder)
    problems = servable(config, max_lora_rank)
    if problems:
        raise RegistryError(f"{folder} could not be served:\n" + "\n".join(f"  - {problem}" for problem in problems))
    named = config.get("base_model_name_or_path")
    if base is not None:
        made_for = base_of(base)
    elif isinstance(named, str) and (Path(named) / "config.json").is_file():
        made_for = base_of(Path(named))
    else:
        made_for = Base(path=str(named or ""))
    return registry.add(name, folder, Lineage(origin="imported", base=made_for))
