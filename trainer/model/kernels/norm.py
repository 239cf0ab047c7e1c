"""RMSNorm with the residual addition before it and the 8-bit rounding after it, forward and backward.

A program owns BM whole rows. It goes over them in pieces of BK columns, twice or three times: the first time from
memory, then from the cache. The largest number of a row is known before the second time, so rounding costs no pass of
its own.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

import triton
import triton.language as tl

from trainer.model.kernels.low_rank import load_low, low_rank_tile


@triton.jit
def add_norm_kernel(
    residual, delta, low, up, weight, sum_out, normal_out, bits_out, scale_out, inverse_out,
    tokens, low_stride, up_row, up_column, epsilon,
    WIDTH: tl.constexpr, ADDS: tl.constexpr, RANK: tl.constexpr, PADDED: tl.constexpr, FP8: tl.constexpr,
    BM: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0).to(tl.int64) * BM + tl.arange(0, BM)
    row_mask = rows < tokens
    squares = tl.zeros([BM], tl.float32)
    largest = tl.zeros([BM], tl.float32)
    if RANK > 0:
        low_tile = load_low(low, rows, row_mask, low_stride, 0, RANK, PADDED)
    for start in range(0, WIDTH, BK):
        columns = start + tl.arange(0, BK)
        column_mask = columns < WIDTH
        places = rows[:, None] * WIDTH + columns[None, :]
        mask = row_mask[:, None] & column_mask[None, :]
        value = tl.load(residual + places, mask=mask, other=0.0).to(tl.float32)
        if ADDS:
            value += tl.load(delta + places, mask=mask, other=0.0).to(tl.float32)
            if RANK > 0:
                value += low_rank_tile(low_tile, up, columns, column_mask, up_row, up_column, 0, RANK, PADDED)
            stored = value.to(sum_out.dtype.element_ty)
            tl.store(sum_out + places, stored, mask=mask)
            value = stored.to(tl.float32)
        squares += tl.sum(value * value, axis=1)
        if FP8:
            scaled = value * tl.load(weight + columns, mask=column_mask, other=0.0).to(tl.float32)[None, :]
            largest = tl.maximum(largest, tl.max(tl.abs(scaled), axis=1))
    inverse = tl.rsqrt(squares / WIDTH + epsilon)
    tl.store(inverse_out + rows, inverse, mask=row_mask)
    scale = tl.maximum(largest * inverse, 1e-12) / 448.0
    if FP8:
        tl.store(scale_out + rows, scale, mask=row_mask)
    tl.debug_barrier()  # the rows just written are read again, by other threads
    for start in range(0, WIDTH, BK):
        columns = start + tl.arange(0, BK)
        column_mask = columns < WIDTH
        places = rows[:, None] * WIDTH + columns[None, :]
        mask = row_mask[:, None] & column_mask[None, :]
        value = tl.load((sum_out if ADDS else residual) + places, mask=mask, other=0.0).to(tl.float32)
        gain = tl.load(weight + columns, mask=column_mask, other=0.0).to(tl.float32)
        normal = value * inverse[:, None] * gain[None, :]
        tl.store(normal_out + places, normal.to(normal_out.dtype.element_ty), mask=mask)
        if FP8:
            tl.store(bits_out + places, (normal / scale[:, None]).to(bits_out.dtype.element_ty), mask=mask)


@triton.jit
def norm_backward_kernel(
    gradient, low, up, residual, inverse_in, weight, passed, result, bits_out, scale_out,
    tokens, low_stride, up_row, up_column,
    WIDTH: tl.constexpr, PASSES: tl.constexpr, RANK: tl.constexpr, PADDED: tl.constexpr, FP8: tl.constexpr,
    BM: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0).to(tl.int64) * BM + tl.arange(0, BM)
    row_mask = rows < tokens
    inverse = tl.load(inverse_in + rows, mask=row_mask, other=0.0)
    dot = tl.zeros([BM], tl.float32)
    if RANK > 0:
        low_tile = load_low(low, rows, row_mask, low_stride, 0, RANK, PADDED)
    for start in range(0, WIDTH, BK):
        columns = start + tl.arange(0, BK)
        column_mask = columns < WIDTH
        places = rows[:, None] * WIDTH + columns[None, :]
        mask = row_mask[:, None] & column_mask[None, :]
        given = tl.load(gradient + places, mask=mask, other=0.0, eviction_policy="evict_last").to(tl.float32)
        if RANK > 0:
            given += low_rank_tile(low_tile, up, columns, column_mask, up_row, up_column, 0, RANK, PADDED)
        given *= tl.load(weight + columns, mask=column_mask, other=0.0).to(tl.float32)[None, :]
        value = tl.load(residual + places, mask=mask, other=0.0, eviction_policy="evict_last").to(tl.float32)
        dot += tl.sum(given * value, axis=1)
    mean = dot * inverse / WIDTH
    largest = tl.zeros([BM], tl.float32)
    for start in range(0, WIDTH, BK):
        columns = start + tl.arange(0, BK)
        column_mask = columns < WIDTH
        places = rows[:, None] * WIDTH + columns[None, :]
        mask = row_mask[:, None] & column_mask[None, :]
        given = tl.load(gradient + places, mask=mask, other=0.0, eviction_policy="evict_first").to(tl.float32)
        if RANK > 0:
            given += low_rank_tile(low_tile, up, columns, column_mask, up_row, up_column, 0, RANK, PADDED)
        given *= tl.load(weight + columns, mask=column_mask, other=0.0).to(tl.float32)[None, :]
        value = tl.load(residual + places, mask=mask, other=0.0, eviction_policy="evict_first").to(tl.float32)
        normal = value * inverse[:, None]
        value = (given - normal * mean[:, None]) * inverse[:, None]
        if PASSES:
            value += tl.load(passed + places, mask=mask, other=0.0, eviction_policy="evict_first").to(tl.float32)
        tl.store(result + places, value.to(result.dtype.element_ty), mask=mask)
        if FP8:
            largest = tl.maximum(largest, tl.max(tl.abs(value), axis=1))
    if FP8:
        scale = tl.maximum(largest, 1e-12) / 448.0
        tl.store(scale_out + rows, scale, mask=row_mask)
        tl.debug_barrier()
        for start in range(0, WIDTH, BK):
            columns = start + tl.arange(0, BK)
            places = rows[:, None] * WIDTH + columns[None, :]
            mask = row_mask[:, None] & (columns < WIDTH)[None, :]
            value = tl.load(result + places, mask=mask, other=0.0).to(tl.float32)
            tl.store(bits_out + places, (value / scale[:, None]).to(bits_out.dtype.element_ty), mask=mask)
