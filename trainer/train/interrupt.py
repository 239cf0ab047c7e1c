"""SIGINT and SIGTERM ask a run to stop after its step, with a checkpoint; asked again, it stops at once."""

from __future__ import annotations

import signal
from types import FrameType


class Interrupt:
    """`number` is the signal that came, or 0. Use as a context manager in the main thread."""

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        self.number = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before.clear()
