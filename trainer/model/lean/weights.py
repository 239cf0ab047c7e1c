"""The frozen weights of a Llama-like model, from safetensors, fused for the lean engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open

from trainer.model.errors import ModelError
from trainer.model.lean.block import BlockWeights
from trainer.model.lean.frozen import EightBits, Frozen, FullPrecision, fused
from trainer.model.shape import GROUPS, ModelShape

Reader = Callable[[str], torch.Tensor]  # a tensor by its name in the checkpoint, on any device
Precision = str  # "full", "fp8", "fp8_backward"


class Weights(NamedTuple):
    """Everything that is frozen."""

    embedding: torch.Tensor  # [vocabulary, hidden]
    blocks: list[BlockWeights]
    norm: torch.Tensor
    head: torch.Tensor  # [vocabulary, hidden]; the embedding itself if they are tied


def from_folder(folder: Path) -> Reader:
    """Read tensors from `model.safetensors`, or from the files that `model.safetensors.index.json` names."""
    index = folder / "model.safetensors.index.json"
    single = folder / "model.safetensors"
    if index.is_file():
        files = {name: folder / file for name, file in json.loads(index.read_text())["weight_map"].items()}
    elif single.is_file():
        with safe_open(single, framework="pt") as opened:
            files = dict.fromkeys(opened.keys(), single)
    else:
        raise ModelError(f"{folder} holds neither model.safetensors nor model.safetensors.index.json")

    def read(name: str) -> torch.Tensor:
        if name not in files:
            raise ModelError(f"{folder} has no tensor {name!r}, which its config.json asks for")
        with safe_open(files[name], framework="pt") as opened:
            tensor: torch.Tensor = opened.get_tensor(name)
        return tensor

    return read


def load(read: Reader, shape: ModelShape, *, device: torch.device, dtype: torch.dtype, precision: Precision) -> Weights:
    """Fuse what shares an input, on `device`, in `dtype`, the blocks' projections as `precision` says."""

    def tensor(name: str) -> torch.Tensor:
        return read(name).to(device=device, dtype=dtype)

    def frozen(block: int, group: int) -> Frozen:
        names = [f"model.layers.{block}.{paths[name]}" for name in GROUPS[group]]
        weight = fused([tensor(f"{name}.weight") for name in names])
        wanted = biased[GROUPS[group][0]]
        bias = torch.cat([tensor(f"{name}.bias") for name in names]) if wanted else None
        if precision == "full":
            return FullPrecision(weight, bias)
        return EightBits(weight, bias, forward_too=precision == "fp8")

    paths = {projection.name: projection.path for projection in shape.projections}
    biased = {projection.name: projection.bias for projection in shape.projections}
    blocks = [
        BlockWeights(
            attention_norm=tensor(f"model.layers.{block}.input_layernorm.weight"),
            qkv=frozen(block, 0),
            output=frozen(block, 1),
            feed_forward_norm=tensor(f"model.layers.{block}.post_attention_layernorm.weight"),
            gate_up=frozen(block, 2),
            down=frozen(block, 3),
        )
        for block in range(shape.layers)
    ]
    embedding = tensor("model.embed_tokens.weight")
    return Weights(
        embedding=embedding,
        blocks=blocks,
        norm=tensor("model.norm.weight"),
        head=embedding if shape.tied else tensor("lm_head.weight"),
    )
