"""`trainer.model.lean.operations` as Triton kernels: the same names, arguments and results."""

from __future__ import annotations

from typing import Any

import torch
import triton

from trainer.model.kernels.low_rank import WIDEST
from trainer.model.kernels.norm import add_norm_kernel, norm_backward_kernel
from trainer.model.kernels.quantize import quantize_kernel
from trainer.model.kernels.rotary import rotate_backward_kernel, rotate_kernel
from trainer.model.kernels.swiglu import swiglu_backward_kernel, swiglu_kernel
from trainer.model.lean.operations import FP8, Activation, LowRank

_ROWS = 16  # the fewest rows that tensor cores take

# Columns (or rows, BM) at a time, and warps, with rounding to 8 bits and without: the quickest of those that were tried
# on an H100 at the shapes of Llama 3.1 8B.
NORM = {True: {"BK": 256, "num_warps": 4}, False: {"BK": 512, "num_warps": 4}}
NORM_BACKWARD = {True: {"BK": 512, "num_warps": 8}, False: {"BK": 512, "num_warps": 4}}
SWIGLU = {True: {"BK": 256, "num_warps": 4}, False: {"BK": 128, "num_warps": 4}}
SWIGLU_BACKWARD = {True: {"BK": 128, "num_warps": 8}, False: {"BK": 128, "num_warps": 4}}
ROTATE = {"BM": 32, "num_warps": 8}
ROTATE_BACKWARD = {"num_warps": 8}


def quantize(full: torch.Tensor) -> Activation:
    """See the reference."""
    tokens, width = full.shape
    result = _with_bits(full.contiguous(), True)
    quantize_kernel[(tokens,)](
        result.full, result.bits, result.scale, width, triton.next_power_of_2(width), num_warps=8
    )
    return result


def add_norm(
    residual: torch.Tensor,
    delta: torch.Tensor | None,
    low_rank: LowRank | None,
    weight: torch.Tensor,
    epsilon: float,
    fp8: bool,
) -> tuple[torch.Tensor, Activation, torch.Tensor]:
    """See the reference."""
    tokens, width = residual.shape
    delta, low_rank = _narrow(delta, low_rank)
    total = residual if delta is None else torch.empty_like(residual)
    result = _with_bits(torch.empty_like(residual), fp8)
    inverse = torch.empty(tokens, 1, dtype=torch.float32, device=residual.device)
    low, up, low_stride, up_row, up_column, rank, padded = _parts(low_rank, 1, residual)
    add_norm_kernel[(triton.cdiv(tokens, _ROWS),)](
        residual, residual if delta is None else delta, low, up, weight, total, result.full, *_bits(result), inverse,
        tokens, low_stride, up_row, up_column, epsilon,
        width, delta is not None, rank, padded, fp8, _ROWS, **NORM[fp8],
    )  # fmt: skip
    return total, result, inverse


def norm_backward(
    gradient: torch.Tensor,
    low_rank: LowRank | None,
    residual: torch.Tensor,
    inverse: torch.Tensor,
    weight: torch.Tensor,
    passed: torch.Tensor | None,
    fp8: bool,
) -> Activation:
    """See the reference."""
    tokens, width = residual.shape
    narrow, low_rank = _narrow(gradient, low_rank)
    result = _with_bits(torch.empty_like(residual), fp8)
    low, up, low_stride, up_row, up_column, rank, padded = _parts(low_rank, 1, residual)
    norm_backward_kernel[(triton.cdiv(tokens, _ROWS),)](
        narrow, low, up, residual, inverse, weight, residual if passed is None else passed, result.full,
        *_bits(result), tokens, low_stride, up_row, up_column,
        width, passed is not None, rank, padded, fp8, _ROWS, **NORM_BACKWARD[fp8],
    )  # fmt: skip
    return result


def rotate(
    heads: torch.Tensor,
    low_rank: LowRank | None,
    bias: torch.Tensor | None,
    cosine: torch.Tensor,
    sine: torch.Tensor,
    positions: torch.Tensor,
    turned: int,
) -> torch.Tensor:
    """See the reference. `heads` is written over."""
    tokens, count, width = heads.shape
    keys = count - turned
    flat, low_rank = _narrow(heads.flatten(1), low_rank, parts=3)
    assert flat is not None
    low, up, low_stride, up_row, up_column, rank, padded = _parts(low_rank, 3, flat)
    rows, together = ROTATE["BM"], 8
    rotate_kernel[(triton.cdiv(tokens, rows), triton.cdiv(count, together))](
        flat, low, up, flat if bias is None else bias, cosine, sine, positions, tokens, low_stride, up_row, up_column,
        turned - keys, keys, width // 2, triton.next_power_of_2(width // 2), rank, padded, bias is not None,
        together, rows, num_warps=ROTATE["num_warps"],
    )  # fmt: skip
    return flat.view(heads.shape)


def rotate_backward(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    cosine: torch.Tensor,
    sine: torch.Tensor,
    positions: torch.Tensor,
    fp8: bool,
) -> Activation:
    """See the reference."""
    tokens, query_heads, width = queries.shape
    key_heads = keys.shape[1]
    queries, keys, values = (part if part.stride(2) == 1 else part.contiguous() for part in (queries, keys, values))
    total = (query_heads + 2 * key_heads) * width
    result = _with_bits(torch.empty(tokens, total, dtype=queries.dtype, device=queries.device), fp8)
    rotate_backward_kernel[(triton.cdiv(tokens, _ROWS),)](
        queries, keys, values, result.full, *_bits(result), cosine, sine, positions, tokens,
        queries.stride(0), queries.stride(1), keys.stride(0), keys.stride(1), values.stride(0), values.stride(1),
        query_heads, key_heads, width // 2, triton.next_power_of_2(width // 2), fp8, _ROWS, 512, **ROTATE_BACKWARD,
    )  # fmt: skip
    return result


def swiglu(gate_up: torch.Tensor, low_rank: LowRank | None, fp8: bool) -> Activation:
    """See the reference."""
    tokens, width = gate_up.shape[0], gate_up.shape[1] // 2
    narrow, low_rank = _narrow(gate_up, low_rank, parts=2)
    result = _with_bits(torch.empty(tokens, width, dtype=gate_up.dtype, device=gate_up.device), fp8)
    low, up, low_stride, up_row, up_column, rank, padded = _parts(low_rank, 2, gate_up)
    span = _span(width, SWIGLU[fp8]["BK"], fp8)
    swiglu_kernel[(triton.cdiv(tokens, _ROWS), triton.cdiv(width, span))](
        narrow, low, up, result.full, *_bits(result), tokens, low_stride, up_row, up_column,
        width, span, rank, padded, fp8, _ROWS, **SWIGLU[fp8],
    )  # fmt: skip
    return result


def swiglu_backward(
    gradient: torch.Tensor, below: LowRank | None, gate_up: torch.Tensor, low_rank: LowRank | None, fp8: bool
) -> Activation:
    """See the reference. `gate_up` is written over."""
    tokens, width = gradient.shape
    given, below = _narrow(gradient, below)
    wide, low_rank = _narrow(gate_up, low_rank, parts=2)
    assert wide is not None
    result = _with_bits(wide, fp8)
    low, up, low_stride, up_row, up_column, rank, padded = _parts(low_rank, 2, gate_up)
    below_low, below_up, below_stride, below_row, below_column, below_rank, below_padded = _parts(below, 1, gate_up)
    span = _span(width, SWIGLU_BACKWARD[fp8]["BK"], fp8)
    swiglu_backward_kernel[(triton.cdiv(tokens, _ROWS), triton.cdiv(width, span))](
        given, below_low, below_up, wide, low, up, *_bits(result),
        tokens, below_stride, below_row, below_column, low_stride, up_row, up_column,
        width, span, below_rank, below_padded, rank, padded, fp8, _ROWS, **SWIGLU_BACKWARD[fp8],
    )  # fmt: skip
    return result


def _span(width: int, block: int, whole_rows: bool) -> int:
    """Columns of a program."""
    return triton.cdiv(width, block) * block if whole_rows else 4 * block


def _with_bits(full: torch.Tensor, fp8: bool) -> Activation:
    if not fp8:
        return Activation(full)
    scale = torch.empty(full.shape[0], 1, dtype=torch.float32, device=full.device)
    return Activation(full, torch.empty(full.shape, dtype=FP8, device=full.device), scale)


def _bits(result: Activation) -> tuple[torch.Tensor, torch.Tensor]:
    """Where to write 8 bits and scales; never read or written if there are none."""
    if result.bits is None or result.scale is None:
        return result.full, result.full
    return result.bits, result.scale


def _narrow(
    frozen: torch.Tensor | None, low_rank: LowRank | None, parts: int = 1
) -> tuple[torch.Tensor | None, LowRank | None]:
    """A wide low-rank part is added here, by a product of its own, in place."""
    if frozen is None or low_rank is None or low_rank.low.shape[1] // parts <= WIDEST:
        return frozen, low_rank
    return frozen.addmm_(low_rank.low, low_rank.up.T), None


def _parts(low_rank: LowRank | None, parts: int, other: torch.Tensor) -> tuple[Any, ...]:
    """Arguments of a kernel: low, up, their strides, the rank of one of `parts`, and that as a power of two."""
    if low_rank is None:
        return other, other, 0, 0, 0, 0, 16
    low, up = low_rank
    rank = low.shape[1] // parts
    return low, up, low.stride(0), up.stride(0), up.stride(1), rank, max(16, triton.next_power_of_2(rank))
