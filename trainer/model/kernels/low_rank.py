"""The low-rank addition inside other kernels: a tile of `low @ up.T` on the tensor cores, never written to memory."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

import triton
import triton.language as tl

WIDEST = 64  # beyond so many columns of `low` the product is done outside: the tile would not fit in registers


@triton.jit
def load_low(low, rows, row_mask, low_stride, first, RANK: tl.constexpr, PADDED: tl.constexpr):
    """[BM, PADDED] of `low`, from its column `first`; zeros beyond RANK."""
    k = tl.arange(0, PADDED)
    return tl.load(
        low + rows[:, None] * low_stride + (first + k)[None, :], mask=row_mask[:, None] & (k < RANK)[None, :], other=0.0
    )


@triton.jit
def low_rank_tile(
    low_tile, up, columns, column_mask, up_row, up_column, first, RANK: tl.constexpr, PADDED: tl.constexpr
):
    """fp32 [BM, BK]: what the adapter adds to the outputs `columns`."""
    k = tl.arange(0, PADDED)
    up_tile = tl.load(
        up + columns[None, :] * up_row + (first + k)[:, None] * up_column,
        mask=column_mask[None, :] & (k < RANK)[:, None],
        other=0.0,
    )
    return tl.dot(low_tile, up_tile, input_precision="ieee")
