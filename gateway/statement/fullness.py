"""How full the billing windows of imported models were: what each was used for, and the emptiest of them. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from gateway.economics.money import NanoUsd
from gateway.statement.flow import Fill, Flow, key
from gateway.statement.ledger_rows import OpenedWindow
from gateway.statement.serving import Measured, usd_per_1m

EMPTIEST = 10
CLASSES = ((0, 0), (1, 1), (2, 9), (10, 99), (100, None))
"""Windows by how many calls began in them."""


@dataclass(frozen=True, slots=True)
class FilledWindow:
    window: OpenedWindow
    fill: Fill
    full: float | None
    """Output tokens, of what one copy could have made in it at the policy's capacity."""

    @property
    def seconds(self) -> float:
        return self.window.ends_at - self.window.opened_at

    @property
    def usd_per_1m(self) -> Fraction | None:
        return usd_per_1m(self.window.nanousd, self.fill.output_tokens)


@dataclass(frozen=True, slots=True)
class Windows:
    """Those of one backend."""

    backend: str
    simulated: bool
    windows: tuple[FilledWindow, ...]

    @property
    def nanousd(self) -> NanoUsd:
        return sum(one.window.nanousd for one in self.windows)

    @property
    def calls(self) -> int:
        return sum(one.fill.calls for one in self.windows)

    @property
    def output_tokens(self) -> int:
        return sum(one.fill.output_tokens for one in self.windows)

    @property
    def usd_per_1m(self) -> Fraction | None:
        return usd_per_1m(self.nanousd, self.output_tokens)

    @property
    def busy_share(self) -> float:
        return sum(one.fill.busy_seconds for one in self.windows) / sum(one.seconds for one in self.windows)

    @property
    def full(self) -> float | None:
        known = [one.full for one in self.windows if one.full is not None]
        return sum(known) / len(known) if known else None

    @property
    def most_at_once(self) -> int:
        ends: list[float] = []
        most = 0
        for one in sorted(self.windows, key=lambda one: one.window.opened_at):
            while ends and ends[0] <= one.window.opened_at + 1e-3:
                heapq.heappop(ends)
            heapq.heappush(ends, one.window.ends_at)
            most = max(most, len(ends))
        return most

    @property
    def by_calls(self) -> tuple[tuple[str, int, NanoUsd], ...]:
        """(calls, windows, n$)."""
        found = []
        for least, most in CLASSES:
            mine = [one for one in self.windows if least <= one.fill.calls and (most is None or one.fill.calls <= most)]
            words = f"{least} or more" if most is None else str(least) if least == most else f"{least} to {most}"
            found.append((words, len(mine), sum(one.window.nanousd for one in mine)))
        return tuple(found)


def fullness(windows: Sequence[OpenedWindow], moved: Flow, paths: Sequence[Measured]) -> tuple[Windows, ...]:
    """By backend. `windows`: opened in the period."""
    found = []
    for path in paths:
        mine = [window for window in windows if window.backend == path.name]
        if not mine:
            continue
        speed = None if path.path is None else float(path.path.max_tokens_per_second)
        filled = [_filled(window, moved.fills.get(key(window), Fill(0, 0, 0.0)), speed) for window in mine]
        found.append(Windows(path.name, path.simulated, tuple(filled)))
    return tuple(found)


def emptiest(all_windows: Sequence[Windows]) -> tuple[FilledWindow, ...]:
    """The fewest output tokens first, the dearest of those first."""
    every = [one for windows in all_windows for one in windows.windows]
    return tuple(
        heapq.nsmallest(
            EMPTIEST, every, key=lambda one: (one.fill.output_tokens, -one.window.nanousd, one.window.opened_at)
        )
    )


def _filled(window: OpenedWindow, fill: Fill, speed: float | None) -> FilledWindow:
    could = None if speed is None else speed * (window.ends_at - window.opened_at)
    return FilledWindow(window, fill, fill.output_tokens / could if could else None)
