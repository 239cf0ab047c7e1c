"""Mock and load client from outside: each started alone, each ended for certain."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from gateway.bench.gateway.load import Measured, Round


class MeasuringError(RuntimeError):
    """Mock or client ended; their stderr says why."""


@contextmanager
def mock_upstream(interval_seconds: float) -> Iterator[int]:
    """Its port on 127.0.0.1."""
    with _started("mock", str(interval_seconds)) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise MeasuringError("the mock upstream did not start; its reason is above")
        yield int(line)


class LoadProcess:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def run(self, told: Round) -> Measured:
        """Raises MeasuringError where the client itself ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(told) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise MeasuringError(f"the load client ended while asking {told.host}:{told.port}; its reason is above")
        return msgspec.json.decode(line, type=Measured)


@contextmanager
def load_client() -> Iterator[LoadProcess]:
    with _started("load") as process:
        yield LoadProcess(process)


@contextmanager
def _started(module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", f"gateway.bench.gateway.{module}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
