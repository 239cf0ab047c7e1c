"""How long each backend had something to do: time in which at least one attempt was under way."""

from __future__ import annotations

from collections.abc import Iterable


class BusyTime:
    """Seconds on one clock, which is passed in and does not fall."""

    def __init__(self, backends: Iterable[str], now: float) -> None:
        self._under_way = dict.fromkeys(backends, 0)
        self._busy_since = dict.fromkeys(self._under_way, now)
        self._busy = dict.fromkeys(self._under_way, 0.0)

    def began(self, backend: str, now: float) -> None:
        if not self._under_way[backend]:
            self._busy_since[backend] = now
        self._under_way[backend] += 1

    def ended(self, backend: str, now: float) -> None:
        self._under_way[backend] -= 1
        if not self._under_way[backend]:
            self._busy[backend] += max(0.0, now - self._busy_since[backend])

    def due(self, backend: str, now: float) -> float:
        """Busy seconds since the last call of this."""
        if self._under_way[backend]:
            self._busy[backend] += max(0.0, now - self._busy_since[backend])
            self._busy_since[backend] = now
        due, self._busy[backend] = self._busy[backend], 0.0
        return due
