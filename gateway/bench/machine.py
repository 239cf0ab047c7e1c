"""Where a figure was measured: without it the figure says little."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PACKAGES = ("crossover", "aiohttp", "httptools", "msgspec", "prometheus-client", "uvicorn", "uvloop")


def machine() -> dict[str, Any]:
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": f"{platform.python_implementation()} {sys.version.split()[0]}",
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "packages": {name: _version(name) for name in PACKAGES},
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def in_one_line(facts: Mapping[str, Any]) -> str:
    load = facts["load_average"][0]
    return f"{facts['cpu']}, {facts['cores']} cores, {facts['python']}, load {load:g} at the start"


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
