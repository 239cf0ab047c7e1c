"""What is installed in an environment, without importing any of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from functools import lru_cache
from pathlib import Path

_LIMIT_SECONDS = 20.0
_ASK = (
    "import json, sys, platform; json.dump({'path': [p for p in sys.path if p], 'prefix': sys.prefix, "
    "'python': platform.python_version(), 'machine': platform.machine(), 'system': sys.platform}, sys.stdout)"
)
_DISTRIBUTION = re.compile(r"^(?P<name>.+?)-(?P<version>[^-]+)\.dist-info$")


class StackError(RuntimeError):
    """The environment's Python does not run; the message says how it was tried."""


class Stack:
    """The environment of a Python: `versions` by normalised distribution name, first on the path counts."""

    def __init__(self, python: Path) -> None:
        self.python = python = python.absolute()  # not resolved: a link is what makes it an environment
        try:
            asked = subprocess.run(  # noqa: S603
                [str(python), "-c", _ASK], capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=True, cwd="/"
            )
            told = json.loads(asked.stdout)
        except (OSError, subprocess.SubprocessError, ValueError) as problem:
            raise StackError(f"{python} does not run as a Python: {_first_line(problem)}; name another") from None
        self.python_version: str = told["python"]
        self.machine: str = told["machine"]
        self.versions: dict[str, str] = {}
        marks = [str(python), told["python"], told["machine"]]
        for folder in told["path"]:
            entries = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
            for entry in entries:
                if match := _DISTRIBUTION.match(entry):
                    self.versions.setdefault(normal(match["name"]), match["version"])
                    # The folder's time: the same version may have been installed again, built another way.
                    marks.append(f"{folder}/{entry} {os.stat(f'{folder}/{entry}').st_mtime_ns}")
        marks.append(_driver())
        self.fingerprint = hashlib.sha256("\n".join(marks).encode()).hexdigest()[:16]

    def named(self, *names: str) -> tuple[str, ...]:
        """'torch 2.13.0' for each that is installed."""
        return tuple(f"{name} {self.versions[normal(name)]}" for name in names if normal(name) in self.versions)

    def version(self, name: str) -> str | None:
        return self.versions.get(normal(name))

    def install(self, *requirements: str) -> str:
        """The command that installs them there."""
        return f"uv pip install --python {self.python} " + " ".join(f"'{each}'" for each in requirements)

    def uninstall(self, *names: str) -> str:
        return f"uv pip uninstall --python {self.python} " + " ".join(names)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@lru_cache(1)
def _driver() -> str:
    try:
        return Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:
        return "no NVIDIA driver"


def _first_line(problem: Exception) -> str:
    told = getattr(problem, "stderr", None) or str(problem)
    lines = [line for line in str(told).strip().splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(problem).__name__
