"""Measure a device in about a second: a large matrix product, and a large copy. Needs torch.

Run as a module it prints one line of JSON, `trainer.estimate.device.Device`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch

from trainer.estimate.device import Device

_SIDE = {"cuda": 8192, "cpu": 768}
_COPY_BYTES = {"cuda": 2**30, "cpu": 2**26}
_REPEATS = 7


def probe(device: torch.device, dtype: torch.dtype) -> Device:
    """Rates of `dtype` products and of copies, and the memory that is free now. On random data: zeros run faster."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        properties = torch.cuda.get_device_properties(device)
        free, total = torch.cuda.mem_get_info(device)
        name, shared = properties.name, bool(getattr(properties, "is_integrated", False))
        if shared:
            # One memory for both (GB10): what CUDA calls free still holds the page cache and other programs' share.
            free = min(free, _available_bytes())
    else:
        name, shared, total, free = _processor(), True, _memory_bytes(), _available_bytes()
    return Device(
        kind=device.type,
        name=name,
        total_bytes=total,
        free_bytes=free,
        matmul_flops=_matmul_flops(device, dtype),
        copy_bytes_per_second=_copy_rate(device),
        shared_memory=shared,
        eight_bit_flops=_eight_bit_flops(device) if on_gpu else None,
        threads=torch.get_num_threads(),
    )


def _matmul_flops(device: torch.device, dtype: torch.dtype) -> float:
    side = _SIDE[device.type]
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return float(2 * side**3) / _median_seconds(device, lambda: left @ right)


def _eight_bit_flops(device: torch.device) -> float | None:
    if torch.cuda.get_device_capability(device) < (8, 9):
        return None
    side = _SIDE["cuda"]
    try:
        left, right = (torch.randn(side, side, device=device).to(torch.float8_e4m3fn) for _ in range(2))
        rows, columns = torch.ones(side, 1, device=device), torch.ones(1, side, device=device)

        def product() -> torch.Tensor:
            result: torch.Tensor = torch._scaled_mm(
                left, right.T, scale_a=rows, scale_b=columns, out_dtype=torch.bfloat16, use_fast_accum=True
            )
            return result

        return float(2 * side**3) / _median_seconds(device, product)
    except RuntimeError:  # a build of torch without these kernels
        return None


def _copy_rate(device: torch.device) -> float:
    source = torch.empty(_COPY_BYTES[device.type] // 4, device=device, dtype=torch.float32).uniform_()
    target = torch.empty_like(source)
    return float(2 * 4 * source.numel()) / _median_seconds(device, lambda: target.copy_(source))


def _median_seconds(device: torch.device, work: Callable[[], object]) -> float:
    for _ in range(2):
        work()
    taken = []
    for _ in range(_REPEATS):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _memory_bytes() -> int:
    limit = _control_group_limit()
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return physical if limit is None else min(physical, limit)


def _available_bytes() -> int:
    """Memory that a new program may take without anything being swapped out."""
    try:
        import psutil

        available = int(psutil.virtual_memory().available)
    except ImportError:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        available = int(lines["MemAvailable"].split()[0]) * 1024
    limit = _control_group_limit()
    if limit is not None:
        try:
            available = min(available, limit - int(Path("/sys/fs/cgroup/memory.current").read_text()))
        except (OSError, ValueError):
            pass
    return available


def _control_group_limit() -> int | None:
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return "CPU"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["auto", "cuda", "cpu"], default="auto")
    parser.add_argument("--dtype", choices=["auto", "bfloat16", "float32"], default="auto")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: as torch chooses")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    has_gpu = torch.cuda.is_available()
    if given.device == "cuda" and not has_gpu:
        sys.exit("torch sees no CUDA device")
    device = torch.device("cuda" if has_gpu and given.device != "cpu" else "cpu")
    wanted = given.dtype if given.dtype != "auto" else "bfloat16" if device.type == "cuda" else "float32"
    print(msgspec.json.encode(probe(device, getattr(torch, wanted))).decode())


if __name__ == "__main__":
    main()
