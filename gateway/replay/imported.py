"""SIMULATED: an imported model (Bedrock Custom Model Import), its copies, and the bill that Bedrock would write.

A call to a model with no copy up starts one, which takes a cold start; a call that finds all copies full waits, and
starts one more, one at a time, up to the most allowed. A copy goes when it has had no call for the idle time. Its
windows are anchored at the moment it was up. The bill is kept here, apart from the gateway's own window meter, which
sees only the calls: the two are compared at the end.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from math import ceil, inf

from gateway.economics.prices import WindowCost
from gateway.economics.windows import FORGET_SECONDS, WindowMeter, WindowView
from gateway.replay.run import BilledWindow
from gateway.replay.setting import Place
from gateway.routing.snapshot import BackendState

WARM = -1
"""The gateway's own one-token call."""


class _Copy:
    __slots__ = ("calls", "id", "in_flight", "last_call_s", "up_s")

    def __init__(self, number: int, up_s: float) -> None:
        self.id = number
        self.up_s = up_s
        self.last_call_s = up_s
        self.in_flight = 0
        self.calls: dict[int, list[int]] = {0: [0, 0]}
        """Window, from 0 -> [calls begun in it, their output tokens]. A copy is up because it was called: its first
        window is billed even if another copy has meanwhile taken the call."""


class ImportedModel:
    """As `Box`. `windows` is the bill so far: of the copies that have gone."""

    __slots__ = (
        "_answers", "_busy_s", "_closed", "_copies", "_copies_made", "_cost", "_finish", "_first_s", "_idle", "_length",
        "_line", "_meter", "_place", "_sent", "_speed", "_starting", "next_s", "windows",
    )  # fmt: skip

    def __init__(self, place: Place, first_s: list[float], finish: Callable[[int, float, float], None]) -> None:
        assert isinstance(place.cost, WindowCost)
        self._cost = place.cost
        self._length = float(place.cost.window_seconds)
        self._idle = float(place.cost.idle_seconds)
        self._place = place
        self._speed = place.speed
        self._first_s = first_s
        self._finish = finish
        self._copies: list[_Copy] = []
        self._copies_made = 0
        self._starting = inf
        """When the copy that is starting will be up; inf: none is."""
        self._line: deque[tuple[int, float, float, int | None]] = deque()
        """(request, prompt tokens, output tokens, the meter's ticket)."""
        self._answers: list[tuple[float, int, int, _Copy, int]] = []
        """Heap of (end, number of the call, request, copy, the meter's id of the copy)."""
        self._sent = 0
        self._meter = WindowMeter(place.cost)
        self._busy_s = -inf
        """When a call was last under way: long after it the meter has forgotten all, and need not be asked."""
        self._closed = self._meter.view(0.0)
        self.windows: list[BilledWindow] = []
        self.next_s = inf

    @property
    def idle(self) -> bool:
        return not self._copies and not self._line and self._starting == inf

    @property
    def metered_windows(self) -> int:
        """Windows in the gateway's own books. To be asked when all is over."""
        self._meter.advance(self._busy_s + 10 * (self._idle + self._length))
        return self._meter.windows_opened

    def warm(self, now: float) -> None:
        """The gateway's own call of one token, which starts a copy."""
        self.send(WARM, 1.0, 1.0, now)

    def send(self, request: int, in_tokens: float, out_tokens: float, now: float) -> None:
        # A call to copies that are full is under way; one that is told "not ready" is not, and is sent again later.
        ticket = self._meter.call_sent(now) if self._copies else None
        self._line.append((request, in_tokens, out_tokens, ticket))
        self._answer(now)
        if self._line and self._starting == inf and len(self._copies) < self._cost.max_copies:
            self._starting = now + self._cost.cold_start_seconds
        self._plan()

    def step(self) -> None:
        now = self.next_s
        if self._starting <= now:
            self._starting = inf
            self._copies_made += 1
            self._copies.append(_Copy(self._copies_made, now))
        ended: list[int] = []
        while self._answers and self._answers[0][0] <= now:
            _, _, request, copy, metered = heapq.heappop(self._answers)
            copy.in_flight -= 1
            self._busy_s = now
            self._meter.call_ended(metered)
            if request != WARM:
                ended.append(request)
        for copy in [c for c in self._copies if c.in_flight == 0 and c.last_call_s + self._idle <= now]:
            self._bill(copy)
            self._copies.remove(copy)
        self._answer(now)
        self._plan()
        for request in ended:
            self._finish(request, now, now)

    def state(self, now: float) -> BackendState:
        in_flight = len(self._answers) + len(self._line)
        starting = self._starting != inf
        return BackendState(
            name=self._place.name,
            in_flight=in_flight,
            decoding=len(self._answers),
            max_in_flight=self._place.max_in_flight,
            window=self._view(now),
            restoring_seconds=self._starting - now if starting and not self._copies else None,
            copies_starting=1 if starting else 0,
        )

    def _view(self, now: float) -> WindowView:
        if self._answers:
            self._busy_s = now
        elif now > self._busy_s + 2 * (self._idle + FORGET_SECONDS) and not self._copies and not self._line:
            return self._closed
        self._meter.advance(now)
        view = self._meter.view(now)
        if self._line and not self._copies:
            # Sent while no copy was up: no call of the meter's yet, but they will fill the copy that is starting.
            return replace(view, in_flight=view.in_flight + len(self._line))
        return view

    def _answer(self, now: float) -> None:
        """Gives the calls in line to the first copies with room."""
        line, speed = self._line, self._speed
        while line:
            for copy in self._copies:
                if copy.in_flight < self._cost.concurrency_per_copy:
                    break
            else:
                return
            request, in_tokens, out_tokens, ticket = line.popleft()
            copy.in_flight += 1
            copy.last_call_s = now
            place = int((now - copy.up_s) // self._length)
            window = copy.calls.setdefault(place, [0, 0])
            window[0] += 1
            window[1] += int(out_tokens)
            first = now + speed.first_token_seconds + in_tokens / speed.prompt_tokens_per_second
            # How fast a stream is, is settled as it begins: by how many its copy then has.
            end = first + (out_tokens - 1) * speed.step(copy.in_flight)
            if request != WARM:
                self._first_s[request] = first
            # The gateway learns of it with the first byte, and counts it from when it was sent.
            self._sent += 1
            heapq.heappush(self._answers, (end, self._sent, request, copy, self._meter.call_began(now, ticket)))
            self._busy_s = now

    def _plan(self) -> None:
        soonest = self._starting
        if self._answers and self._answers[0][0] < soonest:
            soonest = self._answers[0][0]
        for copy in self._copies:
            if copy.in_flight == 0 and copy.last_call_s + self._idle < soonest:
                soonest = copy.last_call_s + self._idle
        self.next_s = soonest

    def _bill(self, copy: _Copy) -> None:
        """The windows of a copy that has gone."""
        if self._cost.idle_tail_billed:
            # 1e-9: a copy that goes at the very end of a window does not open the next.
            billed = max(1, ceil((copy.last_call_s + self._idle - copy.up_s) / self._length - 1e-9))
            places = range(billed)
        else:
            places = sorted(copy.calls)  # type: ignore[assignment]
        for place in places:
            calls, tokens = copy.calls.get(place, (0, 0))
            opens = copy.up_s + place * self._length
            self.windows.append(
                BilledWindow(
                    self._place.name, copy.id, opens, opens + self._length, calls, tokens, self._cost.nanousd_per_window
                )
            )
