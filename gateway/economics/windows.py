"""The window meter: which billing windows of an imported model our own calls have opened, until when they are paid.

Bedrock starts a copy for the first call, bills each copy in whole windows anchored at that call, and takes the copy
away `idle_seconds` after its last one (ECONOMICS.md). No API tells any of this in time, so it is worked out from the
calls that succeeded. Pure: every moment is passed in, in seconds on one clock of the caller's choice.

A call is learned of when its first byte comes back, but it counts from when it was sent: so nothing here is decided
by the order in which news arrives. Copies and windows are functions of the calls and of time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from gateway.economics.money import NanoUsd
from gateway.economics.prices import WindowCost

FORGET_SECONDS = 600.0
"""A copy that went is remembered this long, for calls that were sent before it went and answered after."""


@dataclass(frozen=True, slots=True)
class Window:
    """One billed window of one copy. `copy` counts from 1 over the meter's life, `number` from 1 within the copy."""

    copy: int
    number: int
    opened_at: float
    ends_at: float
    nanousd: NanoUsd


@dataclass(frozen=True, slots=True)
class WindowView:
    """What routing needs to know at one moment. `seconds_left`: of what is paid; `free_seconds`: for how much longer a
    further call adds nothing to the bill; `room`: calls that the copies up can take at once."""

    copies: int
    in_flight: int
    room: int
    seconds_left: float
    free_seconds: float
    next_window_nanousd: NanoUsd


@dataclass(slots=True)
class _Copy:
    id: int
    first_call: float
    last_call: float
    in_flight: int = 0
    booked: int = 0
    called_in: set[int] = field(default_factory=set)


class WindowMeter:
    """Windows of one imported model. `call_began` and `call_ended` bracket each successful call."""

    def __init__(self, cost: WindowCost) -> None:
        self.cost = cost
        self._length = float(cost.window_seconds)
        self._idle = float(cost.idle_seconds)
        self._copies: list[_Copy] = []
        self._next_id = 1
        self._windows: list[Window] = []
        self._settled: NanoUsd = 0
        self.windows_opened = 0

    def call_began(self, sent_at: float) -> int:
        """A call sent at `sent_at` is being answered. Returns the id of the copy believed to serve it.

        It is taken to be on the first copy with room; with none, on a new copy, whose windows start here.
        """
        up = [copy for copy in self._copies if self._is_up(copy, sent_at)]
        copy = next((c for c in up if c.in_flight < self.cost.concurrency_per_copy), None)
        if copy is None and len(up) < self.cost.max_copies:
            copy = _Copy(self._next_id, sent_at, sent_at)
            self._next_id += 1
            self._copies.append(copy)
        elif copy is None:
            copy = min(up, key=lambda c: c.in_flight)
        copy.in_flight += 1
        copy.last_call = max(copy.last_call, sent_at)
        copy.called_in.add(max(0, int((sent_at - copy.first_call) // self._length)))
        return copy.id

    def call_ended(self, copy_id: int) -> None:
        for copy in self._copies:
            if copy.id == copy_id:
                copy.in_flight = max(0, copy.in_flight - 1)

    def restore(self, first_call: float, last_call: float, booked: int) -> None:
        """A copy known from an earlier life of the gateway: `booked` windows of it are in the books already."""
        copy = _Copy(self._next_id, first_call, last_call, booked=booked)
        copy.called_in.update(range(booked))
        self._next_id += 1
        self._copies.append(copy)

    def advance(self, now: float) -> list[Window]:
        """Windows that have opened since the last call of this, oldest first. To be booked, each once."""
        opened: list[Window] = []
        price = self.cost.nanousd_per_window
        for copy in self._copies:
            due = self._windows_due(copy, now)
            while copy.booked < due:
                start = copy.first_call + copy.booked * self._length
                copy.booked += 1
                opened.append(Window(copy.id, copy.booked, start, start + self._length, price))
        self._windows.extend(opened)
        self.windows_opened += len(opened)
        self._forget(now)
        return opened

    def accrued(self, now: float) -> NanoUsd:
        """n$ booked so far, by the second: an open window counts for the share of it that has passed. Never falls."""
        return self._settled + sum(self._passed(window, now) for window in self._windows)

    def view(self, now: float) -> WindowView:
        up = [copy for copy in self._copies if self._is_up(copy, now)]
        in_flight = sum(copy.in_flight for copy in up)
        room = sum(max(0, self.cost.concurrency_per_copy - copy.in_flight) for copy in up)
        paid_until = max((self._paid_until(copy) for copy in up), default=now)
        free_until = max((self._free_until(copy, now) for copy in up), default=now)
        return WindowView(
            copies=len(up),
            in_flight=in_flight,
            room=room,
            seconds_left=max(0.0, paid_until - now),
            free_seconds=max(0.0, free_until - now) if room else 0.0,
            next_window_nanousd=self.cost.nanousd_per_window,
        )

    # -- a copy's life, as functions of its calls -------------------------------------------------------------------

    def _is_up(self, copy: _Copy, at: float) -> bool:
        return copy.in_flight > 0 or at < copy.last_call + self._idle

    def _windows_for(self, copy: _Copy, last_call: float) -> int:
        """How many windows a copy is billed, were `last_call` its last. The 1e-9: a copy that goes at the very end of
        a window does not open the next."""
        if self.cost.idle_tail_billed:
            return max(1, math.ceil((last_call + self._idle - copy.first_call) / self._length - 1e-9))
        return max(copy.called_in) + 1

    def _windows_due(self, copy: _Copy, now: float) -> int:
        """Windows begun by `now`: with the idle tail billed, all up to now; else those in which a call was sent."""
        if not self.cost.idle_tail_billed:
            return len(copy.called_in)
        begun = int((now - copy.first_call) // self._length) + 1
        return min(max(1, begun), self._windows_for(copy, copy.last_call))

    def _paid_until(self, copy: _Copy) -> float:
        return copy.first_call + max(1, copy.booked) * self._length

    def _free_until(self, copy: _Copy, now: float) -> float:
        """The last moment at which one more call adds no window to what the calls so far already cost."""
        if self.cost.idle_tail_billed:
            paid = self._windows_for(copy, copy.last_call) * self._length
            return copy.first_call + paid - self._idle
        number = int((now - copy.first_call) // self._length)
        return copy.first_call + (number + 1) * self._length if number in copy.called_in else now

    def _passed(self, window: Window, now: float) -> NanoUsd:
        if now >= window.ends_at:
            return window.nanousd
        share = max(0.0, now - window.opened_at) / self._length
        return int(window.nanousd * share)

    def _forget(self, now: float) -> None:
        ended = [w for w in self._windows if w.ends_at + FORGET_SECONDS < now]
        self._settled += sum(w.nanousd for w in ended)
        if ended:
            self._windows = [w for w in self._windows if w.ends_at + FORGET_SECONDS >= now]
        self._copies = [
            c for c in self._copies if self._is_up(c, now) or now < c.last_call + self._idle + FORGET_SECONDS
        ]
