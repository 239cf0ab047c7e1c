"""The demo's own processes: each ends with the demo, however the demo ends, and says why when it ends by itself."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.sandbox.exit_status import in_words

STOP_SECONDS = 8.0
_LAST_LINES = 12
_PR_SET_PDEATHSIG = 1


class PartFailedError(RuntimeError):
    """A part did not start, or ended by itself; the message ends with the last lines of its log."""


class Child:
    """One `crossover` command as a child process, in a session of its own: Ctrl-C reaches the demo alone, which then
    ends its parts in order."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "gateway.cli", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )

    def check(self) -> None:
        """Raises `PartFailedError` when it has ended."""
        status = self._process.poll()
        if status is not None:
            raise PartFailedError(f"{self.name} ended by itself ({in_words(status)}).{self._log_tail()}")

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is not enough. Does nothing the second time."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return f" The end of {self.log}:\n  " + "\n  ".join(lines or ["(empty)"])


def wait_for_words(child: Child, words: str, seconds: float = 30.0) -> None:
    """Until the child has written `words`. Raises `PartFailedError` when it ends, or takes longer."""
    deadline = time.monotonic() + seconds
    while words not in child.log.read_text(errors="replace"):
        child.check()
        if time.monotonic() > deadline:
            raise PartFailedError(f"{child.name} was not ready within {seconds:g} s. Log: {child.log}")
        time.sleep(0.05)


def wait_for_port(child: Child, port: int, seconds: float = 30.0) -> None:
    """Until the child listens. Raises `PartFailedError` when it ends, or takes longer."""
    deadline = time.monotonic() + seconds
    while True:
        child.check()
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise PartFailedError(f"{child.name} did not listen on port {port} within {seconds:g} s. Log: {child.log}")
        time.sleep(0.05)


def _end_with_parent() -> None:
    """In the child, before it becomes the command: the kernel sends it SIGTERM when the demo dies, even by SIGKILL."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
