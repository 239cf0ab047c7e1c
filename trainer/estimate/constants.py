"""Numbers that were measured, with their source, for `trainer.estimate.estimate`. Nothing else holds any.

GPU: one H100 80GB (torch 2.11, transformers 5.17, peft 0.21), the shape of Llama 3.1 8B, 1 to 16 sequences of 2,048 and
4,096 tokens: benchmarks/results/training_h100.json. CPU: one core of an AMD EPYC with torch 2.13, SmolLM2-135M:
docs/decisions/0012-the-trainer.md. Rates are shares of what the probe measures on the device at hand, so that they
carry over to another one as far as its balance of products, copies and launches is alike.
"""

from __future__ import annotations

import msgspec


class Engine(msgspec.Struct, frozen=True):
    """How an engine uses a device."""

    product_share: float  # of the probe's product rate, in the frozen products
    attention_share: float  # of the same, in attention (FLOP counted over the tokens that are seen)
    traffic: float  # bytes that everything else moves, for each byte kept for the backward pass
    layer_seconds: float  # of a step, whatever its size: launches and Python
    program_bytes: int  # interpreter and libraries (CPU only)
    holes: float  # bytes freed but not given back by the C library, for each byte kept; half of it with checkpointing


ENGINES = {
    ("cuda", "lean"): Engine(0.94, 0.43, 8.7, 4.0e-4, 0, 0.0),
    ("cuda", "peft"): Engine(0.97, 0.50, 21.5, 6.0e-4, 0, 0.0),
    ("cpu", "lean"): Engine(0.9, 0.6, 6.0, 3.0e-3, 377 * 2**20, 0.23),
    ("cpu", "peft"): Engine(0.8, 0.6, 6.0, 3.0e-3, 385 * 2**20, 1.38),
}

EIGHT_BIT_SHARE = 1.0  # of the probe's 8-bit product rate
EIGHT_BIT_TRAFFIC = 9.8  # `traffic` of the lean engine where gradients are rounded to 8 bits
MASKED_ATTENTION = 3.2  # transformers with several documents a sequence: a mask, and no causal skipping, against none

# Share of the free memory that a run may plan with. The rest is for what fragments, and for what is not foreseen; on a
# machine whose GPU shares the CPU's memory running out can hang the machine, not only the run.
USABLE_SHARE, USABLE_SHARE_SHARED_GPU = 0.92, 0.85
