"""Weights and batches for a measurement: random, and the same for every variant."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from trainer.bench.cases import Case
from trainer.model.batch import DeviceBatch, to_device
from trainer.model.shape import ModelShape


def random_weights(shape: ModelShape, seed: int, device: torch.device) -> Callable[[str], torch.Tensor]:
    """A reader of tensors by name, bfloat16: norms are 1, all else is normal with a deviation of 0.02."""
    parts = {projection.path: (projection.outputs, projection.inputs) for projection in shape.projections}
    table = (shape.vocabulary, shape.hidden)

    def read(name: str) -> torch.Tensor:
        if "norm" in name:
            return torch.ones(shape.hidden, device=device, dtype=torch.bfloat16)
        generator = torch.Generator(device).manual_seed(seed * 2**32 + zlib.crc32(name.encode()))
        size = table
        if name.startswith("model.layers."):
            size = parts[name.removeprefix("model.layers.").split(".", 1)[1].removesuffix(".weight")]
        weight = torch.empty(size, device=device, dtype=torch.bfloat16)
        return weight.normal_(0.0, 0.02, generator=generator)

    return read


def batches(case: Case, vocabulary: int, seed: int, device: torch.device, count: int) -> list[DeviceBatch]:
    """Full sequences of random tokens; every token but a document's first is learned."""
    chosen = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        shape = (case.sequences, case.tokens)
        tokens = chosen.integers(0, vocabulary, shape)
        targets, positions, documents = np.full(shape, -100), np.zeros(shape, int), np.zeros(shape, int)
        for row in range(case.sequences):
            ends = _ends(case, chosen)
            for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
                positions[row, start:end] = np.arange(end - start)
                documents[row, start:end] = number
                targets[row, start : end - 1] = tokens[row, start + 1 : end]
        packed: Any = SimpleNamespace(tokens=tokens, targets=targets, positions=positions, documents=documents)
        made.append(to_device(packed, device))
    return made


def mean_context(batch: DeviceBatch) -> float:
    """Tokens that a token sees, itself included, on average."""
    return float(batch.positions.float().mean()) + 1.0


def _ends(case: Case, chosen: np.random.Generator) -> list[int]:
    if case.documents == 1:
        return [case.tokens]
    inner = chosen.choice(np.arange(16, case.tokens - 16), case.documents - 1, replace=False)
    return [*sorted(int(place) for place in inner), case.tokens]
