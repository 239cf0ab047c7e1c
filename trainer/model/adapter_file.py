"""An adapter on disk in peft's format, whatever layers trained it, so that peft and vLLM load it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file


def write_adapter(folder: Path, config: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors`. Lists and keys are sorted: the same adapter gives
    the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    ordered = {key: sorted(value) if key == "target_modules" else value for key, value in sorted(config.items())}
    (folder / "adapter_config.json").write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")
    save_file(dict(state), folder / "adapter_model.safetensors", metadata={"format": "pt"})
