"""Simulated time, in whole nanoseconds so that windows that touch do not drift apart by a rounding."""

from __future__ import annotations

import time
from collections.abc import Callable

NS = 1_000_000_000


def to_ns(seconds: float) -> int:
    return round(seconds * NS)


class Clock:
    """Simulated nanoseconds since the start: real time x `time_scale`, plus what was added by hand."""

    def __init__(self, time_scale: float, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.time_scale = time_scale
        self._monotonic_ns = monotonic_ns
        self._start_ns = monotonic_ns()
        self._added_ns = 0
        self.epoch_unix_seconds = time.time()
        """Wall-clock time of simulated 0."""

    def now_ns(self) -> int:
        return round((self._monotonic_ns() - self._start_ns) * self.time_scale) + self._added_ns

    def advance(self, seconds: float) -> None:
        """Let `seconds` of simulated time pass at once; ValueError for a step back."""
        if seconds < 0:
            raise ValueError(f"advance_seconds {seconds} is negative: time only goes forward")
        self._added_ns += to_ns(seconds)

    def real_seconds(self, simulated_ns: int) -> float:
        """How long a span of simulated time takes to pass."""
        return simulated_ns / NS / self.time_scale
