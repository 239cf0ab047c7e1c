"""Triton kernels for CUDA, each with a reference in plain torch beside it."""

from __future__ import annotations

import functools
import importlib.util


@functools.cache
def available() -> bool:
    """Whether Triton is installed and there is a CUDA device to compile for."""
    import torch

    return torch.cuda.is_available() and importlib.util.find_spec("triton") is not None
