"""The device of this process: threads, first seeds, its name, its peak memory and its meter of energy."""

from __future__ import annotations

import os
import platform
import random
import resource
import sys
from typing import Any

import numpy as np
import torch

from trainer.model.open import device_of
from trainer.settings.schema import TrainSettings
from trainer.train.distributed import Group
from trainer.train.energy import Meter, cpu_meter, gpu_meter


def choose_device(settings: TrainSettings, group: Group) -> torch.device:
    """The device that the settings ask for, this process's own one among several. Raises ModelError."""
    device = device_of(settings)
    if device.type == "cuda":
        device = torch.device("cuda", group.local_rank)
        torch.cuda.set_device(device)
    elif settings.device.threads is not None:
        torch.set_num_threads(settings.device.threads)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, _cores() // group.local_size))
    return device


def seed(number: int) -> None:
    """Every generator from one number: the same in all processes, so that all make the same first factors."""
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def describe(device: torch.device, group: Group, dtype: torch.dtype) -> dict[str, Any]:
    """What run.json says of the device."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return {
            "kind": "cuda",
            "name": properties.name,
            "total_bytes": properties.total_memory,
            "processes": group.size,
            "dtype": str(dtype).removeprefix("torch."),
        }
    return {
        "kind": "cpu",
        "name": _cpu_name(),
        "threads": torch.get_num_threads(),
        "processes": group.size,
        "dtype": str(dtype).removeprefix("torch."),
    }


def versions() -> dict[str, str | None]:
    """Of everything that the numbers depend on."""
    import peft
    import safetensors
    import transformers

    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "safetensors": safetensors.__version__,
        "numpy": np.__version__,
        "cuda": torch.version.cuda,
        "platform": platform.platform(),
    }


def peak_memory(device: torch.device) -> tuple[str, int]:
    """(what is measured, its high-water mark in bytes) of this process."""
    if device.type == "cuda":
        return "reserved by torch on the GPU", torch.cuda.max_memory_reserved(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return "resident set of the process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def meter(device: torch.device) -> Meter:
    if device.type == "cuda":
        return gpu_meter(str(torch.cuda.get_device_properties(device).uuid))
    return cpu_meter()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
