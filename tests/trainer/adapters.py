"""Adapters in peft's file form, written without torch: real factors of a small size."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_safetensors(path: Path, tensors: dict[str, NDArray[Any]], dtypes: dict[str, str] | None = None) -> None:
    """A safetensors file. uint16 arrays are written as BF16 unless `dtypes` says otherwise."""
    names = {"float32": "F32", "float16": "F16", "uint16": "BF16", "float64": "F64", "uint8": "U8"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, array in tensors.items():
        dtype = (dtypes or {}).get(name, names[array.dtype.name])
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        for array in tensors.values():
            file.write(array.tobytes())


def write_adapter(folder: Path, *, rank: int = 4, seed: int = 0, **config: Any) -> Path:
    """An adapter on q_proj of one layer of a model 16 wide."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "peft_type": "LORA",
        "base_model_name_or_path": "/models/base",
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": ["q_proj"],
        "bias": "none",
        **config,
    }
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    random = np.random.default_rng(seed)
    where = "base_model.model.model.layers.0.self_attn.q_proj"
    write_safetensors(
        folder / "adapter_model.safetensors",
        {
            f"{where}.lora_A.weight": random.standard_normal((rank, 16), dtype=np.float32),
            f"{where}.lora_B.weight": random.standard_normal((16, rank), dtype=np.float32),
        },
    )
    return folder
