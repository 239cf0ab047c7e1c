"""When a backend is left alone: it failed repeatedly (a circuit breaker), or said that it has too much to do."""

from __future__ import annotations

import math
from collections.abc import Callable

FAILURES_TO_OPEN = 3
"""Failures in a row, without a success between, after which a backend is left alone."""
OPEN_SECONDS = 5.0
"""For so long at first; twice as long each further time, up to..."""
LONGEST_OPEN_SECONDS = 60.0
JITTER = 0.5
"""Each time is up to this share longer, by chance: gateways that saw one failure do not all come back at once."""
THROTTLE_SECONDS = 1.0
"""After "too many requests" that names no time."""
LONGEST_THROTTLE_SECONDS = 60.0


def _no_chance() -> float:
    return 0.0


class Circuit:
    """Failures and throttling of one backend. Only its own faults open it: the caller tells whose fault one was.

    `chance` gives numbers in [0, 1) that spread the reopening. Left out there is no spread: replays stay equal."""

    __slots__ = ("_chance", "_open_seconds", "_open_until", "_probing", "failures", "last_failure", "throttled_until")

    def __init__(self, chance: Callable[[], float] = _no_chance) -> None:
        self._chance = chance
        self.failures = 0
        self.last_failure: str | None = None
        self.throttled_until = -math.inf
        self._open_until = -math.inf
        self._open_seconds = OPEN_SECONDS
        self._probing = 0
        """Requests under way since the circuit closed on trial."""

    def probe(self) -> bool:
        """A request is sent: True if it is a trial, whose end is then to be told to `probed`."""
        if self.failures < FAILURES_TO_OPEN:
            return False
        self._probing += 1
        return True

    def probed(self) -> None:
        self._probing -= 1

    def succeeded(self) -> None:
        if self.failures or self.last_failure is not None:
            self.failures = 0
            self.last_failure = None
        self._open_until = -math.inf
        self._open_seconds = OPEN_SECONDS

    def throttled(self, now: float, retry_after_seconds: float | None = None) -> None:
        self.throttled_until = now + min(LONGEST_THROTTLE_SECONDS, retry_after_seconds or THROTTLE_SECONDS)

    def broke(self, why: str, now: float) -> None:
        self.last_failure = why
        self.failures += 1
        if self.failures >= FAILURES_TO_OPEN and now >= self._open_until:
            self._open_until = now + self._open_seconds * (1.0 + JITTER * self._chance())
            self._open_seconds = min(LONGEST_OPEN_SECONDS, 2 * self._open_seconds)

    def recovered(self) -> None:
        """It was reached again: no need to wait out the time."""
        self.failures = 0
        self._open_until = -math.inf
        self.throttled_until = -math.inf

    def open(self, now: float) -> bool:
        """After its time one request at a time may try: one more failure opens it again, a success closes it."""
        return now < self._open_until or (self.failures >= FAILURES_TO_OPEN and self._probing > 0)
