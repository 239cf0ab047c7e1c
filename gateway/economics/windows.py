"""The window meter: which billing windows of an imported model our own calls have opened, until when they are paid.

Bedrock starts a copy for the first call, bills each copy in whole windows anchored at that call, and takes the copy
away `idle_seconds` after its last one (ECONOMICS.md). No API tells any of this in time, so it is worked out from the
calls that succeeded. Pure: every moment is passed in, in seconds on one clock of the caller's choice.

A call is learned of when its first byte comes back, but it counts from when it was sent: how many windows are booked
does not depend on the order in which news arrives (as long as news is less than a window late). Only the anchor of a
window that is in the books already may be a little late: it is not moved, since its money is right.

A call that is still being answered keeps its copy up, but opens no window by lasting: what counts is when the last call
was sent. The sandbox's bill has the same rule; what Bedrock bills for a call that outlasts its window is not measured.

What routing is shown (`view`) also counts calls that are sent and not yet answered: they take room and stretch a copy's
life. Nothing is booked for them before they succeed. Two answers correct what is believed: "not ready" (the copy has
gone), and "too many" (there is less room than believed, for a while).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.economics.money import NanoUsd
from gateway.economics.prices import WindowCost

FORGET_SECONDS = 600.0
"""How late news of a call may come: a copy that went is remembered this long, for calls that were sent before it went
and answered after; and this long a copy's first call may turn out to have been an earlier one."""
DOUBT_SECONDS = 60.0
"""For so long after "too many requests" no more calls are believed to fit than were under way then."""
REVIVED_SHARE = 0.5
"""An answer within this share of a cold start after "not ready" can be of no new copy: the old one never went."""


@dataclass(frozen=True, slots=True)
class Window:
    """One billed window of one copy. `copy` counts from 1 over the meter's life. `number` is the window's place in the
    copy's life, from 1: where windows without a call are not billed, numbers are left out."""

    copy: int
    number: int
    opened_at: float
    ends_at: float
    nanousd: NanoUsd


@dataclass(frozen=True, slots=True)
class WindowView:
    """What routing needs to know at one moment. `seconds_left`: of what is paid; `free_seconds`: for how much longer a
    further call adds nothing to the bill, where there is room; `room`: calls that the copies up can take at once."""

    copies: int
    in_flight: int
    room: int
    seconds_left: float
    free_seconds: float
    next_window_nanousd: NanoUsd


@dataclass(frozen=True, slots=True)
class CopyState:
    """What a later life of the gateway must know of a copy. `booked`: windows of it in the books; `merged`: copies that
    turned out to be this one."""

    copy: int
    first_call: float
    last_call: float
    booked: int
    merged: tuple[int, ...] = ()


@dataclass(slots=True)
class _Copy:
    id: int
    first_call: float
    last_call: float
    alone: bool
    """Opened since no copy was believed up, not since all were full."""
    in_flight: int = 0
    booked: set[int] = field(default_factory=set)
    """Places, from 0, of the windows that are in the books."""
    prepaid: int = 0
    """Windows in the books under the name of a copy that turned out to be this one."""
    calls: list[float] | None = None
    called_in: set[int] = field(default_factory=set)
    """`calls`: when they were sent, None once the anchor stands; `called_in`: the windows, from 0, that they fell into.
    Kept only where windows without a call are not billed."""
    merged: tuple[int, ...] = ()
    sent: dict[int, float] = field(default_factory=dict)
    """When the calls were sent that are believed to be on it and were not answered yet, by their tickets."""
    gone_at: float | None = None
    """A call sent then found that it was not there."""


class WindowMeter:
    """Windows of one imported model. `call_began` and `call_ended` bracket each successful call; `call_sent` may come
    before, and `call_refused` where nothing follows."""

    def __init__(self, cost: WindowCost) -> None:
        self.cost = cost
        self._length = float(cost.window_seconds)
        self._idle = float(cost.idle_seconds)
        self._copies: list[_Copy] = []
        self._next_id = 1
        self._windows: list[Window] = []
        self._settled: NanoUsd = 0
        self.windows_opened = 0
        self._unplaced: dict[int, float] = {}
        """Calls sent while no copy was believed up, by their tickets."""
        self._next_ticket = 1
        self._most_at_once = 0
        self._doubted_until = -math.inf

    def call_sent(self, sent_at: float) -> int:
        """A call is under way, and nobody knows yet whether it succeeds. Returns a ticket for what comes of it."""
        ticket = self._next_ticket
        self._next_ticket += 1
        up = [copy for copy in self._copies if self._is_up(copy, sent_at)]
        copy = next((c for c in up if c.in_flight + len(c.sent) < self.cost.concurrency_per_copy), None)
        if copy is None and up:
            copy = min(up, key=lambda c: c.in_flight + len(c.sent))
        (self._unplaced if copy is None else copy.sent)[ticket] = sent_at
        return ticket

    def call_refused(self, ticket: int) -> None:
        """Nothing came of it, and nothing is billed. Says nothing to a ticket that is used up."""
        self._unplaced.pop(ticket, None)
        for copy in self._copies:
            copy.sent.pop(ticket, None)

    def not_ready(self, sent_at: float) -> bool:
        """A call sent then was told that the model is not ready: the copies without a call on them have gone. Returns
        whether none is left. (With calls on them they are up, and full.)"""
        for copy in self._copies:
            idle = not copy.in_flight and not copy.sent and copy.last_call < sent_at
            if idle and self._is_up(copy, sent_at):
                copy.gone_at = sent_at
        return not any(self._is_up(copy, sent_at) for copy in self._copies)

    def copies_counted(self, count: int, since: float) -> int:
        """Bedrock itself counted at most `count` copies from `since` on: of those believed up then and not called
        since, the ones beyond that have gone. Returns how many more it counted than calls of ours explain."""
        up = [copy for copy in self._copies if copy.first_call <= since and self._is_up(copy, since)]
        surplus = len(up) - count
        for copy in sorted(up, key=lambda c: c.last_call):
            if surplus > 0 and not copy.in_flight and not copy.sent and copy.last_call < since:
                copy.gone_at = since
                surplus -= 1
        return max(0, count - len(up))

    def throttled(self, now: float) -> None:
        """A call was told "too many": what is under way now is all that fits, as far as is believed for a while."""
        self._most_at_once = max(1, sum(c.in_flight + len(c.sent) for c in self._copies if self._is_up(c, now)))
        self._doubted_until = now + DOUBT_SECONDS

    def call_began(self, sent_at: float, ticket: int | None = None) -> int:
        """A call sent at `sent_at` is being answered. Returns the id of the copy believed to serve it.

        It is taken to be on the first copy with room; with none, on a new copy, whose windows start here. `ticket`: of
        its `call_sent`.
        """
        if ticket is not None:
            self.call_refused(ticket)
        up = [copy for copy in self._copies if self._is_up(copy, sent_at)] or self._revived(sent_at)
        copy = next((c for c in up if c.in_flight < self.cost.concurrency_per_copy), None)
        if copy is None and len(up) < self.cost.max_copies:
            copy = _Copy(self._next_id, sent_at, sent_at, alone=not up, calls=[])
            self._next_id += 1
            self._copies.append(copy)
        elif copy is None:
            copy = min(up, key=lambda c: c.in_flight)
        elif sent_at < copy.first_call and len(up) > 1:
            copy.alone = False
        copy.in_flight += 1
        copy.last_call = max(copy.last_call, sent_at)
        self._called(copy, sent_at)
        self._merge_into(copy)
        return copy.id

    def call_ended(self, copy_id: int) -> None:
        for copy in self._copies:
            if copy.id == copy_id or copy_id in copy.merged:
                copy.in_flight = max(0, copy.in_flight - 1)

    def restore(self, first_call: float, last_call: float, booked: int, numbers: Iterable[int] = ()) -> int:
        """A copy known from an earlier life of the gateway: `booked` windows of it are in the books already. `numbers`:
        which, where they are not the first ones. Those still open go on accruing. Returns the copy's id here."""
        copy = _Copy(self._next_id, first_call, last_call, alone=False)
        self._next_id += 1
        if self.cost.idle_tail_billed:
            copy.booked.update(range(booked))
        else:
            copy.booked.update(number - 1 for number in numbers or range(1, booked + 1))
            copy.prepaid = max(0, booked - len(copy.booked))
            copy.called_in.update(copy.booked)
        self._windows.extend(self._window(copy, index) for index in sorted(copy.booked))
        self._copies.append(copy)
        return copy.id

    def copies(self) -> list[CopyState]:
        return [CopyState(c.id, c.first_call, c.last_call, len(c.booked) + c.prepaid, c.merged) for c in self._copies]

    def advance(self, now: float) -> list[Window]:
        """Windows that have opened since the last call of this, oldest first. To be booked, each once."""
        opened: list[Window] = []
        for copy in self._copies:
            missing = self._windows_due(copy, now) - len(copy.booked)
            if missing <= 0:
                continue
            places = range(self._windows_due(copy, now)) if self.cost.idle_tail_billed else sorted(copy.called_in)
            # An anchor that moved may have shifted places; how many are billed is what counts.
            for index in [place for place in places if place not in copy.booked][:missing]:
                copy.booked.add(index)
                if copy.prepaid:
                    copy.prepaid -= 1
                else:
                    opened.append(self._window(copy, index))
        opened.sort(key=lambda window: window.opened_at)
        self._windows.extend(opened)
        self.windows_opened += len(opened)
        self._forget(now)
        return opened

    def accrued(self, now: float) -> NanoUsd:
        """n$ booked so far, by the second: an open window counts for the share of it that has passed. Never falls."""
        return self._settled + sum(self._passed(window, now) for window in self._windows)

    def view(self, now: float) -> WindowView:
        up = [copy for copy in self._copies if self._is_up(copy, now)]
        in_flight = sum(copy.in_flight + len(copy.sent) for copy in up) + len(self._unplaced)
        room = sum(max(0, self.cost.concurrency_per_copy - copy.in_flight - len(copy.sent)) for copy in up)
        if now < self._doubted_until:
            room = min(room, max(0, self._most_at_once - in_flight))
        paid_until = max((self._paid_until(copy) for copy in up), default=now)
        free_until = max((self._free_until(copy, now) for copy in up), default=now)
        return WindowView(
            copies=len(up),
            in_flight=in_flight,
            room=room,
            seconds_left=max(0.0, paid_until - now),
            free_seconds=max(0.0, free_until - now),
            next_window_nanousd=self.cost.nanousd_per_window,
        )

    # -- a copy's life, as functions of its calls -------------------------------------------------------------------

    def _is_up(self, copy: _Copy, at: float) -> bool:
        """Could a call sent at `at` have been on this copy? It may also have been the first one on it."""
        if copy.gone_at is not None and at >= copy.gone_at:
            return False
        if copy.first_call - self._idle >= at:
            return False
        return copy.in_flight > 0 or bool(copy.sent) or at < copy.last_call + self._idle

    def _revived(self, sent_at: float) -> list[_Copy]:
        """Copies that were believed gone, and that an answer shows to be there: no new one starts as quickly."""
        soon = REVIVED_SHARE * self.cost.cold_start_seconds
        found = []
        for copy in self._copies:
            gone_at, copy.gone_at = copy.gone_at, None
            if gone_at is not None and sent_at < gone_at + soon and self._is_up(copy, sent_at):
                found.append(copy)
            else:
                copy.gone_at = gone_at
        return found

    def _called(self, copy: _Copy, sent_at: float) -> None:
        """Notes a call, which may be earlier than the first one known."""
        moved = sent_at < copy.first_call
        if self.cost.idle_tail_billed:
            copy.first_call = min(copy.first_call, sent_at)
            return
        if copy.calls is not None:
            copy.first_call = min(copy.first_call, sent_at)
            copy.calls.append(sent_at)
            if moved:
                copy.called_in = {self._place(copy, at) for at in copy.calls}
            if sent_at > copy.first_call + FORGET_SECONDS:
                copy.calls = None
        copy.called_in.add(self._place(copy, sent_at))

    def _merge_into(self, copy: _Copy) -> None:
        """A copy that was opened because none was believed up is `copy`, if late news says that this one was."""
        for other in [c for c in self._copies if c is not copy and c.alone]:
            gone_at = copy.last_call + self._idle if copy.gone_at is None else copy.gone_at
            if other.id < copy.id or not copy.first_call <= other.first_call < gone_at:
                continue
            copy.last_call = max(copy.last_call, other.last_call)
            copy.in_flight += other.in_flight
            copy.sent |= other.sent
            copy.prepaid += len(other.booked) + other.prepaid
            copy.merged += (other.id, *other.merged)
            if not self.cost.idle_tail_billed:
                starts = [other.first_call + index * self._length for index in other.called_in]
                copy.called_in.update(self._place(copy, at) for at in other.calls or starts)
                if copy.calls is not None:
                    copy.calls.extend(other.calls or starts)
            self._copies.remove(other)

    def _place(self, copy: _Copy, at: float) -> int:
        return max(0, int((at - copy.first_call) // self._length))

    def _window(self, copy: _Copy, index: int) -> Window:
        start = copy.first_call + index * self._length
        return Window(copy.id, index + 1, start, start + self._length, self.cost.nanousd_per_window)

    def _windows_for(self, copy: _Copy, last_call: float) -> int:
        """How many windows a copy is billed, were `last_call` its last. The 1e-9: a copy that goes at the very end of
        a window does not open the next."""
        if self.cost.idle_tail_billed:
            life = last_call - copy.first_call + self._idle
            if copy.gone_at is not None:
                life = min(life, max(copy.gone_at, last_call) - copy.first_call)
            return max(1, math.ceil(life / self._length - 1e-9))
        return max(copy.called_in) + 1

    def _windows_due(self, copy: _Copy, now: float) -> int:
        """Windows begun by `now`: with the idle tail billed, all up to now; else those in which a call was sent."""
        if not self.cost.idle_tail_billed:
            return len(copy.called_in)
        begun = int((now - copy.first_call) // self._length) + 1
        return min(max(1, begun), self._windows_for(copy, copy.last_call))

    def _paid_until(self, copy: _Copy) -> float:
        return copy.first_call + (max(copy.booked, default=0) + 1) * self._length

    def _free_until(self, copy: _Copy, now: float) -> float:
        """The last moment at which one more call adds no window to what the calls so far already cost; those that are
        sent and not answered yet will, as far as one can know."""
        if self.cost.idle_tail_billed:
            paid = self._windows_for(copy, max((copy.last_call, *copy.sent.values()))) * self._length
            return copy.first_call + paid - self._idle
        number = int((now - copy.first_call) // self._length)
        called = number in copy.called_in or any(self._place(copy, at) == number for at in copy.sent.values())
        return copy.first_call + (number + 1) * self._length if called else now

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
        until = self._idle + FORGET_SECONDS
        self._copies = [c for c in self._copies if c.in_flight or c.sent or now < c.last_call + until]
