"""What attempts did over time: when a backend was busy, how fast its answers came, which billing window held
which call.

One pass over the attempts in the order in which they began. Pure: rows in, figures out.
"""

from __future__ import annotations

import heapq
import sqlite3
from array import array
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.statement.ledger_rows import OpenedWindow
from gateway.statement.period import Period

LOOK_BACK_SECONDS = 3600.0
"""An attempt that began so long before the period and is still under way in it makes its backend busy."""

Row = tuple[str, float, float, int, float | None, str, str]
"""backend, started_at, seconds, output tokens, TTFT, outcome, certainty."""
WindowKey = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class Speeds:
    """Percentiles of one backend, None where nothing could be measured. `busy_seconds`: with an attempt under way."""

    busy_seconds: float
    ttft_p50_seconds: float | None = None
    ttft_p95_seconds: float | None = None
    ttft_count: int = 0
    stream_p50_tokens_per_second: float | None = None
    stream_count: int = 0


@dataclass(frozen=True, slots=True)
class Fill:
    """What one billing window held: calls that began in it, their output tokens, and its seconds with a call."""

    calls: int
    output_tokens: int
    busy_seconds: float


@dataclass(frozen=True, slots=True)
class Flow:
    speeds: Mapping[str, Speeds]
    fills: Mapping[WindowKey, Fill]


def key(window: OpenedWindow) -> WindowKey:
    return window.run, window.backend, window.copy, window.number


def read_attempts(connection: sqlite3.Connection, period: Period, windows: Sequence[OpenedWindow]) -> Iterable[Row]:
    """Those that may touch the period, or a window that was opened in it, by the time they began."""
    until = max([period.until, *(window.ends_at for window in windows)])
    cursor = connection.execute(
        """SELECT backend, started_at, seconds, output_tokens, ttft_seconds, outcome, certainty FROM attempts
           WHERE started_at >= ? AND started_at < ? ORDER BY started_at""",
        (period.since - LOOK_BACK_SECONDS, until),
    )
    cursor.row_factory = None
    return cursor


def flow(rows: Iterable[Row], period: Period, windows: Sequence[OpenedWindow], concurrency: Mapping[str, int]) -> Flow:
    """`concurrency`: calls that one copy of an imported model takes at once. A call goes to the first copy with room,
    as the gateway's own meter places it: no API tells which copy it was."""
    backends: dict[str, _Backend] = {}
    for name in dict.fromkeys(window.backend for window in windows):
        mine = [window for window in windows if window.backend == name]
        backends[name] = _Backend(period, mine, concurrency.get(name, 1 << 30))
    for backend, started_at, seconds, tokens, ttft, outcome, certainty in rows:
        known = backends.get(backend)
        if known is None:
            known = backends[backend] = _Backend(period, (), 0)
        known.add(started_at, seconds, tokens, ttft, outcome, certainty)
    return Flow(
        {name: one.speeds() for name, one in backends.items()},
        {at: fill for one in backends.values() for at, fill in one.fills().items()},
    )


@dataclass(slots=True)
class _Window:
    opened: OpenedWindow
    covered_until: float
    calls: int = 0
    output_tokens: int = 0
    busy_seconds: float = 0.0


@dataclass(slots=True)
class _Copy:
    windows: deque[_Window]
    """Those that are not over, oldest first."""
    ends: list[float] = field(default_factory=list)
    """When the calls on it end."""


class _Backend:
    def __init__(self, period: Period, windows: Sequence[OpenedWindow], concurrency: int) -> None:
        self._period = period
        self._concurrency = concurrency
        self._covered_until = period.since
        self._busy_seconds = 0.0
        self._ttft = array("d")
        self._stream = array("d")
        self._windows = [_Window(one, one.opened_at) for one in sorted(windows, key=lambda one: one.opened_at)]
        copies: dict[tuple[str, int], _Copy] = {}
        for window in self._windows:
            copies.setdefault((window.opened.run, window.opened.copy), _Copy(deque())).windows.append(window)
        self._to_come = deque(copies.values())
        """Copies, by when they opened, whose first window no call has reached yet."""
        self._copies: list[_Copy] = []

    def add(
        self, started_at: float, seconds: float, tokens: int, ttft: float | None, outcome: str, certainty: str
    ) -> None:
        ended_at = started_at + seconds
        since, until = max(started_at, self._covered_until), min(ended_at, self._period.until)
        if until > since:
            self._busy_seconds += until - since
            self._covered_until = until
        answered = outcome == "ok" or ttft is not None or tokens > 0
        if answered and (self._copies or self._to_come):
            self._place(started_at, ended_at, tokens)
        if not self._period.since <= started_at < self._period.until or outcome != "ok" or ttft is None:
            return
        self._ttft.append(ttft)
        if tokens > 1 and seconds > ttft and certainty == "exact":
            self._stream.append((tokens - 1) / (seconds - ttft))

    def _place(self, started_at: float, ended_at: float, tokens: int) -> None:
        while self._to_come and self._to_come[0].windows[0].opened.opened_at < ended_at:
            self._copies.append(self._to_come.popleft())
        for copy in self._copies:
            while copy.windows and copy.windows[0].opened.ends_at <= started_at:
                copy.windows.popleft()
            while copy.ends and copy.ends[0] <= started_at:
                heapq.heappop(copy.ends)
        self._copies = [copy for copy in self._copies if copy.windows]
        # A call that waited for a cold copy began before the window that it opened: it is placed there last.
        found = [copy for copy in self._copies if copy.windows[0].opened.opened_at < ended_at]
        found.sort(key=lambda copy: copy.windows[0].opened.opened_at > started_at)
        if not found:
            return
        room = (copy for copy in found if len(copy.ends) < self._concurrency)
        copy = next(room, None) or min(found, key=lambda copy: len(copy.ends))
        heapq.heappush(copy.ends, ended_at)
        copy.windows[0].calls += 1
        copy.windows[0].output_tokens += tokens
        for window in copy.windows:
            since, until = max(started_at, window.covered_until), min(ended_at, window.opened.ends_at)
            if until > since:
                window.busy_seconds += until - since
                window.covered_until = until
            elif window.opened.opened_at >= ended_at:
                break

    def speeds(self) -> Speeds:
        ttft, stream = sorted(self._ttft), sorted(self._stream)
        return Speeds(
            busy_seconds=self._busy_seconds,
            ttft_p50_seconds=percentile(ttft, 50),
            ttft_p95_seconds=percentile(ttft, 95),
            ttft_count=len(ttft),
            stream_p50_tokens_per_second=percentile(stream, 50),
            stream_count=len(stream),
        )

    def fills(self) -> dict[WindowKey, Fill]:
        return {key(one.opened): Fill(one.calls, one.output_tokens, one.busy_seconds) for one in self._windows}


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The nearest rank: a value that was measured, never one in between. None of nothing."""
    if not ordered:
        return None
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
