"""Throwaway environments: the training environment, with single packages of other versions laid over it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from trainer.preflight.conflicts import unreachable
from trainer.preflight.resolve import find_uv, package_sources


class NoIndexError(RuntimeError):
    """No package index answered."""


def throwaway(folder: Path, over: Path, requirements: list[str], with_their_needs: Sequence[str] = ()) -> Path:
    """A virtual environment with the requirements, before everything that `over` (a Python) has; returns its Python.

    A `.pth` file puts the other environment's packages behind its own: seconds and megabytes, not minutes and
    gigabytes. with_their_needs: requirements installed with all that they need, as the others are not.
    """
    uv = find_uv()
    assert uv is not None, "uv comes with `make setup`"
    _run([uv, "venv", "--quiet", "--no-project", "--python", str(over), str(folder)])
    python = folder / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--no-config", "--python", str(python), *package_sources()]
    if with_their_needs:
        _run([*install, *with_their_needs])
    _run([*install, "--no-deps", *requirements])
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    behind, own = (
        subprocess.run([str(each), "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
        for each in (over, python)
    )
    (Path(own) / "zz_behind.pth").write_text(behind + "\n")
    return python


def _run(command: list[str]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if ran.returncode and unreachable(ran.stderr):
        raise NoIndexError(ran.stderr.strip().splitlines()[0])
    assert ran.returncode == 0, ran.stderr
