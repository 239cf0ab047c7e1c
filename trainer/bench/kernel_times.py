"""Where a step's time goes on a GPU, by kind of kernel."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch

# First match counts.
KINDS = (
    ("attention", r"flash|fmha|attention|sdpa"),
    ("own: norm", r"add_norm_kernel|norm_backward_kernel"),
    ("own: swiglu", r"swiglu.*kernel"),
    ("own: rotary", r"rotate.*kernel"),
    ("own: quantize", r"quantize_kernel"),
    ("own: cross entropy", r"cross_entropy_kernel"),
    ("product, 8 bits", r"e4m3|f8f8|fp8|qgmma|float_e4m3"),
    ("product", r"gemm|nvjet|cutlass|cublas|xmma|splitk|gemv|wgmma"),
    ("copy", r"memcpy|memset|copy|cat_|cat"),
    ("optimizer", r"adam|multi_tensor|foreach|lpnorm|lp_norm"),
)


def kernel_seconds(step: Callable[[], object], names: dict[str, float] | None = None) -> dict[str, float]:
    """Seconds of device time of one `step` by kind of kernel; `names` is filled with the time of each kernel."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as recorded:
        step()
        torch.cuda.synchronize()
    found: dict[str, float] = {}
    for event in recorded.key_averages():
        seconds = float(getattr(event, "self_device_time_total", 0.0)) / 1e6
        if seconds <= 0:
            continue
        if names is not None:
            names[event.key] = names.get(event.key, 0.0) + seconds
        kind = next((kind for kind, pattern in KINDS if re.search(pattern, event.key, re.IGNORECASE)), "elementwise")
        found[kind] = found.get(kind, 0.0) + seconds
    return dict(sorted(found.items(), key=lambda item: -item[1]))
