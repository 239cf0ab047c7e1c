"""SIGINT and SIGTERM ask a run to stop after its step, with a checkpoint; asked again later, it stops at once."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType

ONE_REQUEST_SECONDS = 2.0
"""Signals that come this soon after the first are the same request: Ctrl-C goes to the whole process group, and the
parent passes its own on."""


class Interrupt:
    """`number` is the signal that came, or 0. Use as a context manager in the main thread.

    After a signal the handlers stay, also behind the `with` block, so that a repeat does not kill the process while it
    writes its checkpoint.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.number = 0
        self._clock, self._since = clock, 0.0
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        if not self.number:
            self._restore()

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if not self.number:
            self.number, self._since = number, self._clock()
        elif self._clock() - self._since >= ONE_REQUEST_SECONDS:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before.clear()
