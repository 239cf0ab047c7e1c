"""Joules that the machine has counted: NVIDIA's counter of the GPU, or the CPU package's (RAPL). Whole devices, not
this process alone; where neither can be read the reason is recorded instead of a number."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_RAPL = Path("/sys/class/powercap")


@dataclass(slots=True)
class Meter:
    """`joules` since it was made; None where no counter could be read, and then `reason` says why."""

    what: str | None
    reason: str | None
    _counters: list[Callable[[], float]] = field(default_factory=list)
    _start: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._start = [read() for read in self._counters]

    def joules(self) -> float | None:
        if not self._counters:
            return None
        try:
            return sum(read() - start for read, start in zip(self._counters, self._start, strict=True))
        except (OSError, ValueError) as error:
            self.reason, self._counters = f"the counter could not be read again: {error}", []
            return None


def cpu_meter(root: Path = _RAPL) -> Meter:
    """The CPU packages, by RAPL; on most systems only root may read it."""
    packages = sorted(root.glob("intel-rapl:[0-9]")) if root.is_dir() else []
    if not packages:
        return Meter(None, f"{root} has no intel-rapl counters on this machine")
    try:
        return Meter("the CPU packages, whole (RAPL)", None, [_rapl(package) for package in packages])
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Meter(None, f"{packages[0]}/energy_uj cannot be read: {reason}")


def gpu_meter(uuid: str) -> Meter:
    """The GPU of that UUID, by NVML."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return Meter(None, "libnvidia-ml.so.1 is not there")
    handle = ctypes.c_void_p()
    name = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
    status = library.nvmlInit_v2() or library.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle))

    def read() -> float:
        millijoules = ctypes.c_ulonglong()
        if error := library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)):
            raise ValueError(f"NVML error {error}")
        return millijoules.value / 1e3

    try:
        if status:
            raise ValueError(f"NVML error {status}")
        return Meter("the GPU, whole (NVML)", None, [read])
    except ValueError as error:
        return Meter(None, f"NVML does not count this GPU's energy: {error}")


def _rapl(package: Path) -> Callable[[], float]:
    """A counter that does not wrap: the kernel's does, every few minutes under load."""
    limit = int((package / "max_energy_range_uj").read_text())
    turns, last = 0, int((package / "energy_uj").read_text())

    def read() -> float:
        nonlocal turns, last
        value = int((package / "energy_uj").read_text())
        turns += value < last
        last = value
        return (turns * limit + value) / 1e6

    return read
