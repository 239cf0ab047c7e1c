"""SwiGLU with the low-rank addition before it and the 8-bit rounding after it, forward and backward.

With rounding, a program owns BM whole rows, because a row's scale is its largest number; without, a part of them.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

import triton
import triton.language as tl

from trainer.model.kernels.low_rank import load_low, low_rank_tile


@triton.jit
def swiglu_kernel(
    gate_up, low, up, out, bits_out, scale_out, tokens, low_stride, up_row, up_column,
    WIDTH: tl.constexpr, SPAN: tl.constexpr, RANK: tl.constexpr, PADDED: tl.constexpr, FP8: tl.constexpr,
    BM: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0).to(tl.int64) * BM + tl.arange(0, BM)
    row_mask = rows < tokens
    first = tl.program_id(1) * SPAN
    largest = tl.zeros([BM], tl.float32)
    if RANK > 0:
        gate_low = load_low(low, rows, row_mask, low_stride, 0, RANK, PADDED)
        up_low = load_low(low, rows, row_mask, low_stride, RANK, RANK, PADDED)
    for start in range(0, SPAN, BK):
        columns = first + start + tl.arange(0, BK)
        column_mask = columns < WIDTH
        mask = row_mask[:, None] & column_mask[None, :]
        places = rows[:, None] * (2 * WIDTH) + columns[None, :]
        gate = tl.load(gate_up + places, mask=mask, other=0.0).to(tl.float32)
        wide = tl.load(gate_up + places + WIDTH, mask=mask, other=0.0).to(tl.float32)
        if RANK > 0:
            gate += low_rank_tile(gate_low, up, columns, column_mask, up_row, up_column, 0, RANK, PADDED)
            wide += low_rank_tile(up_low, up, columns + WIDTH, column_mask, up_row, up_column, RANK, RANK, PADDED)
        value = gate * tl.sigmoid(gate) * wide
        tl.store(out + rows[:, None] * WIDTH + columns[None, :], value.to(out.dtype.element_ty), mask=mask)
        if FP8:
            largest = tl.maximum(largest, tl.max(tl.abs(value), axis=1))
    if FP8:
        scale = tl.maximum(largest, 1e-12) / 448.0
        tl.store(scale_out + rows, scale, mask=row_mask)
        tl.debug_barrier()
        for start in range(0, SPAN, BK):
            columns = first + start + tl.arange(0, BK)
            mask = row_mask[:, None] & (columns < WIDTH)[None, :]
            places = rows[:, None] * WIDTH + columns[None, :]
            value = tl.load(out + places, mask=mask, other=0.0).to(tl.float32)
            tl.store(bits_out + places, (value / scale[:, None]).to(bits_out.dtype.element_ty), mask=mask)


@triton.jit
def swiglu_backward_kernel(
    gradient, below_low, below_up, gate_up, low, up, bits_out, scale_out,
    tokens, below_stride, below_row, below_column, low_stride, up_row, up_column,
    WIDTH: tl.constexpr, SPAN: tl.constexpr, BELOW: tl.constexpr, BELOW_PADDED: tl.constexpr,
    RANK: tl.constexpr, PADDED: tl.constexpr, FP8: tl.constexpr, BM: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0).to(tl.int64) * BM + tl.arange(0, BM)
    row_mask = rows < tokens
    first = tl.program_id(1) * SPAN
    largest = tl.zeros([BM], tl.float32)
    if BELOW > 0:
        below_tile = load_low(below_low, rows, row_mask, below_stride, 0, BELOW, BELOW_PADDED)
    if RANK > 0:
        gate_low = load_low(low, rows, row_mask, low_stride, 0, RANK, PADDED)
        up_low = load_low(low, rows, row_mask, low_stride, RANK, RANK, PADDED)
    for start in range(0, SPAN, BK):
        columns = first + start + tl.arange(0, BK)
        column_mask = columns < WIDTH
        mask = row_mask[:, None] & column_mask[None, :]
        given = tl.load(gradient + rows[:, None] * WIDTH + columns[None, :], mask=mask, other=0.0).to(tl.float32)
        if BELOW > 0:
            given += low_rank_tile(
                below_tile, below_up, columns, column_mask, below_row, below_column, 0, BELOW, BELOW_PADDED
            )
        places = rows[:, None] * (2 * WIDTH) + columns[None, :]
        gate = tl.load(gate_up + places, mask=mask, other=0.0).to(tl.float32)
        wide = tl.load(gate_up + places + WIDTH, mask=mask, other=0.0).to(tl.float32)
        if RANK > 0:
            gate += low_rank_tile(gate_low, up, columns, column_mask, up_row, up_column, 0, RANK, PADDED)
            wide += low_rank_tile(up_low, up, columns + WIDTH, column_mask, up_row, up_column, RANK, RANK, PADDED)
        squashed = tl.sigmoid(gate)
        silu = gate * squashed
        gate_gradient = given * wide * (squashed + silu * (1.0 - squashed))
        wide_gradient = given * silu
        tl.store(gate_up + places, gate_gradient.to(gate_up.dtype.element_ty), mask=mask)
        tl.store(gate_up + places + WIDTH, wide_gradient.to(gate_up.dtype.element_ty), mask=mask)
        if FP8:
            both = tl.maximum(tl.abs(gate_gradient), tl.abs(wide_gradient))
            largest = tl.maximum(largest, tl.max(both, axis=1))
    if FP8:
        scale = tl.maximum(largest, 1e-12) / 448.0
        tl.store(scale_out + rows, scale, mask=row_mask)
        tl.debug_barrier()
        for start in range(0, 2 * SPAN, BK):
            columns = start + tl.arange(0, BK)
            mask = row_mask[:, None] & (columns < 2 * WIDTH)[None, :]
            places = rows[:, None] * (2 * WIDTH) + columns[None, :]
            value = tl.load(gate_up + places, mask=mask, other=0.0).to(tl.float32)
            tl.store(bits_out + places, (value / scale[:, None]).to(bits_out.dtype.element_ty), mask=mask)
