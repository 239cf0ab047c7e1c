"""Cross entropy of rows of logits, with the gradient written over them. Reference: `_cross_entropy_rows` in loss.py."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

import torch
import triton
import triton.language as tl


@triton.jit
def cross_entropy_kernel(logits, targets, losses, WIDTH: tl.constexpr, GRADIENT: tl.constexpr, BK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    logits += row * WIDTH
    target = tl.load(targets + row)
    hit = tl.load(logits + target).to(tl.float32)
    # Every lane keeps its own largest number and sum; they are brought together once, at the end.
    largest = tl.full([BK], float("-inf"), tl.float32)
    total = tl.zeros([BK], tl.float32)
    for start in range(0, WIDTH, BK):
        columns = start + tl.arange(0, BK)
        value = tl.load(logits + columns, mask=columns < WIDTH, other=float("-inf")).to(tl.float32)
        highest = tl.maximum(largest, value)
        shift = tl.where(highest == float("-inf"), 0.0, highest)
        total = total * tl.exp(largest - shift) + tl.exp(value - shift)
        largest = highest
    peak = tl.max(largest, axis=0)
    normalizer = peak + tl.log(tl.sum(total * tl.exp(largest - peak), axis=0))
    tl.store(losses + row, normalizer - hit)
    if GRADIENT:
        tl.debug_barrier()  # `hit` is read before it is written over
        for start in range(0, WIDTH, BK):
            columns = start + tl.arange(0, BK)
            mask = columns < WIDTH
            value = tl.load(logits + columns, mask=mask, other=0.0).to(tl.float32)
            share = tl.exp(value - normalizer) - tl.where(columns == target, 1.0, 0.0)
            tl.store(logits + columns, share.to(logits.dtype.element_ty), mask=mask)


def cross_entropy_rows_(logits: torch.Tensor, targets: torch.Tensor, needs_gradient: bool) -> torch.Tensor:
    """Sum of cross entropy in nats, fp32 scalar. `logits` [rows, vocabulary] then hold their gradient, if asked."""
    rows, width = logits.shape
    losses = torch.empty(rows, dtype=torch.float32, device=logits.device)
    block = min(8192, triton.next_power_of_2(width))
    cross_entropy_kernel[(rows,)](logits, targets, losses, width, needs_gradient, block, num_warps=8)
    return losses.sum()
