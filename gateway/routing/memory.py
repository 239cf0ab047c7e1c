"""What the router remembers between decisions: demand, congestion, regret, the error budget. No I/O, no clock.

`Router.decide` only reads it; it changes when a decision is acted upon (`demanded`, `noted`, `took`) and when a request
ends (`ended`).
"""

from __future__ import annotations

from collections import deque
from math import exp

from gateway.policy.schema import RoutingSettings
from gateway.routing.budget import Budget
from gateway.routing.congestion import Congestion
from gateway.routing.decision import Circumstances
from gateway.routing.shared_state import InProcess, SharedState

RATE_SECONDS = 60.0
LONG_MEMORY = 1000.0
"""Requests that the mean work reaches back to."""


class Memory:
    """One for each router."""

    __slots__ = (
        "_regret",
        "_settings",
        "_taken",
        "_works",
        "budget",
        "common",
        "congestion",
        "work_seconds",
    )

    def __init__(self, settings: RoutingSettings, common: SharedState | None = None) -> None:
        self._settings = settings
        self.common: SharedState = common or InProcess(settings.windows.demand_seconds)
        self.congestion = Congestion(settings.box.overload_seconds)
        self.budget = Budget(settings.budget, settings.error_budget)
        self.work_seconds = 0.0
        """Of the box that a captive request takes, in the mean."""
        self._works = 0
        self._regret: dict[str, tuple[float, float]] = {}
        """By backend: (n$, at)."""
        self._taken: deque[float] = deque()
        """When the box was last chosen, within a minute: the `lowest-cost` baseline counts them."""

    def regret(self, backend: str, now: float) -> float:
        """n$ of windows that were not opened there, faded."""
        nanousd, at = self._regret.get(backend, (0.0, now))
        return nanousd * exp(-max(0.0, now - at) / self._settings.windows.regret_seconds)

    def taken_last_minute(self, now: float) -> int:
        taken = self._taken
        return sum(1 for at in taken if at > now - RATE_SECONDS) if taken else 0

    def took(self, now: float) -> None:
        taken = self._taken
        taken.append(now)
        while taken[0] <= now - RATE_SECONDS:
            taken.popleft()

    def demanded(self, prompt_tokens: int, tokens: float, work_seconds: float, now: float) -> None:
        """A captive request has come: `tokens` its expected length, `work_seconds` of the box that it takes."""
        self.common.demanded(prompt_tokens, tokens, now)
        if work_seconds > 0:
            self._works += 1
            weight = max(1.0 / LONG_MEMORY, 1.0 / self._works)
            self.work_seconds += (work_seconds - self.work_seconds) * weight

    def noted(self, notes: Circumstances, now: float, *, box_seen: bool = True) -> None:
        """A decision made under these circumstances is acted upon. `box_seen` False: no box could be asked, and that
        its pressure stands at 0 does not say that it is idle."""
        if box_seen:
            self.congestion.seen(notes.pressure, notes.demand, now)
        if notes.turned_away:
            self.congestion.overload(now)
        if notes.regret_backend is not None:
            self._regret[notes.regret_backend] = (notes.regret_nanousd, now)

    def ended(self, bad: bool) -> None:
        self.common.verdict(bad)
        self.budget.counted(*self.common.verdicts())
