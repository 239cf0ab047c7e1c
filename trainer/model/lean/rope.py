"""Tables of rotary positions."""

from __future__ import annotations

import math

import torch

from trainer.model.shape import Rope


def tables(rope: Rope, width: int, positions: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(cosine, sine) of every position and frequency, fp32 [positions, width / 2].

    Llama 3's scaling stretches slow waves by `factor`, leaves quick ones, and goes over smoothly between (Meta's
    release of Llama 3.1; transformers' `_compute_llama3_parameters` gives the same numbers).
    """
    # On the CPU, as transformers does, so that both give the same bits.
    frequencies = 1.0 / rope.theta ** (torch.arange(0, width, 2, dtype=torch.int64).float() / width)
    if rope.kind == "linear":
        frequencies = frequencies / rope.factor
    elif rope.kind == "llama3":
        waves = 2 * math.pi / frequencies
        low, high = rope.low_frequency_factor, rope.high_frequency_factor
        share = (rope.original_positions / waves - low) / (high - low)
        between = (1 - share) * frequencies / rope.factor + share * frequencies
        slow = torch.where(waves > rope.original_positions / low, frequencies / rope.factor, frequencies)
        medium = (waves <= rope.original_positions / low) & (waves >= rope.original_positions / high)
        frequencies = torch.where(medium, between, slow)
    angles = torch.outer(torch.arange(positions).float(), frequencies)
    return angles.cos().to(device), angles.sin().to(device)
