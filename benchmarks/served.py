"""A server under measurement: a process on a core of its own for as long as it is asked."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gateway.bench.gateway.accounting import on_core
from gateway.bench.gateway.systems import System

ROOT = Path(__file__).parents[1]
START_SECONDS = 2.0


@contextmanager
def served(name: str, words: Sequence[str], port: int, core: int) -> Iterator[System]:
    """`words`: the program, which listens on `port`."""
    with on_core(core):
        process = subprocess.Popen(
            words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL
        )
    try:
        time.sleep(START_SECONDS)
        yield System(name, port, pid=process.pid)
    finally:
        process.terminate()
        process.wait()
