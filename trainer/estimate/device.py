"""A device as the estimate sees it. Pure; `trainer.estimate.probe` measures one."""

from __future__ import annotations

import msgspec


class Device(msgspec.Struct, frozen=True):
    """What a run has to work with. Rates are measured on the device, not read from a datasheet."""

    kind: str  # "cuda" or "cpu"
    name: str
    total_bytes: int
    free_bytes: int
    matmul_flops: float  # FLOP/s of a large product in the run's dtype
    copy_bytes_per_second: float  # bytes read and written by a large copy
    shared_memory: bool  # CPU and GPU draw on the same memory (GB10, or no GPU at all)
    eight_bit_flops: float | None = None  # FLOP/s of a large product in 8 bits; None: the device has none
    threads: int = 1
