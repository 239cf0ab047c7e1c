"""Rotary positions in place, with the low-rank addition and the bias before them; and their backward pass."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

import triton
import triton.language as tl

from trainer.model.kernels.low_rank import load_low, low_rank_tile


@triton.jit
def rotate_kernel(
    heads, low, up, bias, cosine, sine, positions, tokens, low_stride, up_row, up_column,
    QUERIES: tl.constexpr, KEYS: tl.constexpr, HALF: tl.constexpr, HALF_PADDED: tl.constexpr,
    RANK: tl.constexpr, PADDED: tl.constexpr, BIAS: tl.constexpr, PER_PROGRAM: tl.constexpr, BM: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0).to(tl.int64) * BM + tl.arange(0, BM)
    row_mask = rows < tokens
    half = tl.arange(0, HALF_PADDED)
    half_mask = half < HALF
    mask = row_mask[:, None] & half_mask[None, :]
    place = tl.load(positions + rows, mask=row_mask, other=0)
    c = tl.load(cosine + place[:, None] * HALF + half[None, :], mask=mask, other=0.0)
    s = tl.load(sine + place[:, None] * HALF + half[None, :], mask=mask, other=0.0)
    for number in range(PER_PROGRAM):
        head = tl.program_id(1) * PER_PROGRAM + number
        if head < QUERIES + 2 * KEYS:
            columns = head * 2 * HALF + half
            places = rows[:, None] * ((QUERIES + 2 * KEYS) * 2 * HALF) + columns[None, :]
            one = tl.load(heads + places, mask=mask, other=0.0).to(tl.float32)
            two = tl.load(heads + places + HALF, mask=mask, other=0.0).to(tl.float32)
            if RANK > 0:
                # Which of q, k and v this head belongs to says which columns of `low` are its own.
                part = tl.where(head < QUERIES, 0, tl.where(head < QUERIES + KEYS, 1, 2)) * RANK
                low_tile = load_low(low, rows, row_mask, low_stride, part, RANK, PADDED)
                one += low_rank_tile(low_tile, up, columns, half_mask, up_row, up_column, part, RANK, PADDED)
                two += low_rank_tile(low_tile, up, columns + HALF, half_mask, up_row, up_column, part, RANK, PADDED)
            if BIAS:
                one += tl.load(bias + columns, mask=half_mask, other=0.0).to(tl.float32)[None, :]
                two += tl.load(bias + columns + HALF, mask=half_mask, other=0.0).to(tl.float32)[None, :]
            turned = head < QUERIES + KEYS
            first = tl.where(turned, one * c - two * s, one)
            second = tl.where(turned, two * c + one * s, two)
            tl.store(heads + places, first.to(heads.dtype.element_ty), mask=mask)
            tl.store(heads + places + HALF, second.to(heads.dtype.element_ty), mask=mask)


@triton.jit
def rotate_backward_kernel(
    queries, keys, values, out, bits_out, scale_out, cosine, sine, positions, tokens,
    query_row, query_head, key_row, key_head, value_row, value_head,
    QUERIES: tl.constexpr, KEYS: tl.constexpr, HALF: tl.constexpr, HALF_PADDED: tl.constexpr, FP8: tl.constexpr,
    BM: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0).to(tl.int64) * BM + tl.arange(0, BM)
    row_mask = rows < tokens
    half = tl.arange(0, HALF_PADDED)
    mask = row_mask[:, None] & (half < HALF)[None, :]
    place = tl.load(positions + rows, mask=row_mask, other=0)
    c = tl.load(cosine + place[:, None] * HALF + half[None, :], mask=mask, other=0.0)
    s = tl.load(sine + place[:, None] * HALF + half[None, :], mask=mask, other=0.0)
    largest = tl.zeros([BM], tl.float32)
    WIDTH: tl.constexpr = (QUERIES + 2 * KEYS) * 2 * HALF
    for head in range(QUERIES + KEYS):
        if head < QUERIES:
            source = queries + rows[:, None] * query_row + head * query_head + half[None, :]
        else:
            source = keys + rows[:, None] * key_row + (head - QUERIES) * key_head + half[None, :]
        one = tl.load(source, mask=mask, other=0.0).to(tl.float32)
        two = tl.load(source + HALF, mask=mask, other=0.0).to(tl.float32)
        first, second = one * c + two * s, two * c - one * s
        if FP8:
            largest = tl.maximum(largest, tl.max(tl.maximum(tl.abs(first), tl.abs(second)), axis=1))
        target = out + rows[:, None] * WIDTH + (head * 2 * HALF + half)[None, :]
        tl.store(target, first.to(out.dtype.element_ty), mask=mask)
        tl.store(target + HALF, second.to(out.dtype.element_ty), mask=mask)
    for head in range(KEYS):
        source = values + rows[:, None] * value_row + head * value_head + half[None, :]
        target = out + rows[:, None] * WIDTH + ((QUERIES + KEYS + head) * 2 * HALF + half)[None, :]
        one = tl.load(source, mask=mask, other=0.0)
        two = tl.load(source + HALF, mask=mask, other=0.0)
        if FP8:
            both = tl.maximum(tl.abs(one.to(tl.float32)), tl.abs(two.to(tl.float32)))
            largest = tl.maximum(largest, tl.max(both, axis=1))
        tl.store(target, one, mask=mask)
        tl.store(target + HALF, two, mask=mask)
    if FP8:
        scale = tl.maximum(largest, 1e-12) / 448.0
        tl.store(scale_out + rows, scale, mask=row_mask)
        tl.debug_barrier()
        for start in range(0, WIDTH, BK):
            columns = start + tl.arange(0, BK)
            wide_mask = row_mask[:, None] & (columns < WIDTH)[None, :]
            places = rows[:, None] * WIDTH + columns[None, :]
            value = tl.load(out + places, mask=wide_mask, other=0.0).to(tl.float32)
            tl.store(bits_out + places, (value / scale[:, None]).to(bits_out.dtype.element_ty), mask=wide_mask)
