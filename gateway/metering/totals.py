"""What a gateway has counted since its start, as integers, and how it stood at past moments: what live figures are
worked out from. The series and the ledger say the same to others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from gateway.metering.records import VERDICTS

Key: TypeAlias = tuple[str, ...]
"""(what, backend): cost, busy (n$ on the usage basis), input, output (tokens), answers, unpriced (tokens), windows.
(elsewhere, served by, priced as) and (alone, path): n$. (judged, verdict): requests."""

COUNTED = ("cost", "busy", "input", "output", "answers", "unpriced", "windows")

MOMENT_SECONDS = 1.0
RECENT_SECONDS = 900
"""A moment each second of the last quarter of an hour..."""
LONG_SECONDS = 60
LONG_KEPT = 1440
"""...and one each minute of the last day."""


class Change:
    """What was counted between two moments, `seconds` apart. What was never counted is 0."""

    def __init__(
        self, keys: Mapping[Key, int], before: tuple[int, ...], after: tuple[int, ...], seconds: float
    ) -> None:
        self._places, self._before, self._after = keys, before, after
        self.seconds = seconds

    def __getitem__(self, key: Key) -> int:
        place = self._places.get(key)
        return 0 if place is None else self._after[place] - self._before[place]


class Totals:
    """Counters that only rise, and their past. `remember` is called once a second, or oftener."""

    def __init__(self, keys: Iterable[Key], now: float) -> None:
        self._places = {key: place for place, key in enumerate(keys)}
        self._counts = [0] * len(self._places)
        self._recent: deque[tuple[float, tuple[int, ...]]] = deque([(now, tuple(self._counts))], RECENT_SECONDS + 1)
        self._long: deque[tuple[float, tuple[int, ...]]] = deque([(now, tuple(self._counts))], LONG_KEPT + 1)
        self.began_at = now
        self.minutes = 0
        """How many moments of the long past were remembered."""

    def __getitem__(self, key: Key) -> int:
        """Since the start."""
        place = self._places.get(key)
        return 0 if place is None else self._counts[place]

    def place(self, key: Key) -> int:
        """For `add_at`, of what is counted often. Raises `KeyError` for a key that was not told at the start."""
        return self._places[key]

    def add_at(self, place: int, amount: int) -> None:
        self._counts[place] += amount

    def add(self, key: Key, amount: int) -> None:
        """Raises `KeyError` for a key that was not told at the start."""
        self._counts[self._places[key]] += amount

    def remember(self, now: float) -> None:
        counts = tuple(self._counts)
        if len(self._recent) > 1 and self._recent[-1][0] - self._recent[-2][0] < MOMENT_SECONDS:
            self._recent.pop()  # asked more often: the past must not become shorter by it
        self._recent.append((now, counts))
        if now - self._long[-1][0] >= LONG_SECONDS:
            self._long.append((now, counts))
            self.minutes += 1

    def over(self, seconds: float) -> Change:
        """The last `seconds` (up to a day; beyond a quarter of an hour to the minute), or as much as there has been."""
        now, after = self._recent[-1]
        kept = self._recent if seconds <= RECENT_SECONDS else self._long
        at, before = self._at(kept, now - seconds)
        return Change(self._places, before, after, now - at)

    def since_start(self) -> Change:
        now, after = self._recent[-1]
        return Change(self._places, (0,) * len(after), after, now - self.began_at)

    def moments(self, span_seconds: float) -> list[tuple[float, Change]]:
        """For a chart: each moment remembered in the span, and what was counted in the five minutes before it (of the
        long past: at most as fine as it is kept)."""
        kept = self._recent if span_seconds <= RECENT_SECONDS else self._long
        start = kept[-1][0] - span_seconds
        moments = []
        first = 0
        held = list(kept)
        for at, counts in held:
            while held[first][0] < at - TRAILING_SECONDS:
                first += 1
            before_at, before = held[first]
            if at >= start and at > before_at:
                moments.append((at, Change(self._places, before, counts, at - before_at)))
        return moments

    @staticmethod
    def _at(kept: deque[tuple[float, tuple[int, ...]]], moment: float) -> tuple[float, tuple[int, ...]]:
        """The last that is not younger, else the oldest."""
        for at, counts in reversed(kept):
            if at <= moment:
                return at, counts
        return kept[0]


TRAILING_SECONDS = 300.0
"""Dollars per token over less are noise: a window alone lasts as long."""


def keys_of(backends: Iterable[str], pairs: Iterable[tuple[str, str]], paths: Iterable[str]) -> list[Key]:
    return [
        *((what, backend) for backend in backends for what in COUNTED),
        *(("elsewhere", *pair) for pair in pairs),
        *(("alone", path) for path in paths),
        *(("judged", verdict) for verdict in VERDICTS),
    ]
