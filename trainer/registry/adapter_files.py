"""An adapter as peft saves it: two files, read without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.export.bounded_json import is_number, read_json
from trainer.export.layout import LayoutError, read_file
from trainer.registry.errors import RegistryError
from trainer.registry.lineage import Shape

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_MOST_CONFIG_BYTES = 1 << 20
_PARTS = (".lora_A.weight", ".lora_B.weight", ".lora_embedding_A", ".lora_embedding_B")


def read_config(adapter: Path) -> dict[str, Any]:
    """adapter_config.json. Raises RegistryError when it is not there or not a LoRA's."""
    file = adapter / CONFIG
    try:
        config = read_json(file, _MOST_CONFIG_BYTES)
    except (OSError, ValueError) as error:
        raise RegistryError(f"{adapter} holds no adapter in peft's form: {file.name}: {error}") from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else None
        raise RegistryError(f"{file}: peft_type is {kind!r}, and only LORA adapters are kept here")
    return config


def shape_of(config: dict[str, Any]) -> Shape:
    """Raises RegistryError for a rank, scale or targets that cannot be."""
    rank, alpha, targets = config.get("r"), config.get("lora_alpha"), config.get("target_modules")
    if type(rank) is not int or rank < 1 or not is_number(alpha) or alpha <= 0:
        raise RegistryError(f"{CONFIG}: r is {rank!r} and lora_alpha {alpha!r}: both must be numbers above 0")
    listed = [targets] if isinstance(targets, str) else [] if targets is None else targets
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise RegistryError(f"{CONFIG}: target_modules is {targets!r}: it must be a list of modules' names")
    names = tuple(sorted(listed))
    return Shape(rank=rank, alpha=float(alpha), targets=names)


def require_whole(adapter: Path) -> None:
    """Raises RegistryError when the weights are missing, cut short, or hold no LoRA factors in pairs."""
    try:
        tensors = read_file(adapter / WEIGHTS).tensors
    except LayoutError as error:
        raise RegistryError(str(error)) from None
    factors = [name for name in tensors if name.endswith(_PARTS)]
    if not factors:
        raise RegistryError(f"{adapter / WEIGHTS} holds no LoRA factors, only {list(tensors)[:3]}")
    for name in factors:
        module, _, part = name.rpartition(".lora_")
        swapped = part.replace("A", "B") if "A" in part else part.replace("B", "A")
        if f"{module}.lora_{swapped}" not in tensors:
            raise RegistryError(f"{adapter / WEIGHTS} holds {name} without its lora_{swapped}: a factor is missing")
