"""How late the event loop wakes up: what every stream of the gateway waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

STEP_SECONDS = 0.025
MOST_MISSED = 400
"""After a pause so many of the looks that it swallowed are made up for: 10 s of them."""


class LoopLag:
    """Looks every STEP_SECONDS, by a timer of its own and no task. `observe` gets each lag in seconds.

    A pause swallows the looks that were due in it. They are made up for, each with what was left of the pause: else one
    pause of a second would weigh as little as one look, and a quantile over looks would not be one over time."""

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._worst = 0.0

    def start(self) -> None:
        """On the running loop."""
        self._loop = asyncio.get_running_loop()
        self._wait(self._loop)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def worst(self) -> float:
        """Seconds: the worst lag since it was last asked for."""
        worst, self._worst = self._worst, 0.0
        return worst

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + STEP_SECONDS
        self._timer = loop.call_at(self._due, self._look)

    def _look(self) -> None:
        assert self._loop is not None
        self.late_by(self._loop.time() - self._due)
        self._wait(self._loop)

    def late_by(self, lag: float) -> None:
        lag = max(0.0, lag)
        self._worst = max(self._worst, lag)
        self._observe(lag)
        for _ in range(min(MOST_MISSED, int(lag / STEP_SECONDS))):
            lag -= STEP_SECONDS
            self._observe(lag)
