"""The error budget, and what one answer in time is worth: the budget's shadow price.

A share `error_budget` of all requests may be bad. The best use of it is at one price throughout: spend a bad request
wherever avoiding it would cost more than that. Nobody knows the price in advance, so it is steered (dual ascent): it
starts where a window has to save a ninth of what the box could serve in its time, follows slowly where budget is left
over for long, rises steeply as soon as more is spent than is meant to be, and falls gently while less is.
"""

from __future__ import annotations

from math import exp, sqrt

from gateway.policy.routing import BudgetSettings

LIMIT = 6.0
"""The steering stays within a factor of e to this power."""
DRIFT_LIMIT = 3.0
FEW_BAD = 3.0
"""So many bad requests are no pattern yet."""


class Budget:
    """Steers the worth of an answer in time, in n$. Counts come from outside: several gateways may share them."""

    __slots__ = ("_drift", "_settings", "_share", "_steer", "bad", "ended")

    def __init__(self, settings: BudgetSettings, error_budget: float) -> None:
        self._settings = settings
        self._share = error_budget
        self._drift = 0.0
        self._steer = 0.0
        self.ended = self.bad = 0

    def counted(self, ended: int, bad: int) -> None:
        """So many requests have ended in all, so many of them badly."""
        knobs, share = self._settings, self._share
        added = ended - self.ended
        self.ended, self.bad = ended, bad
        budget = share * ended
        meant = max(0.0, knobs.aim * budget - knobs.caution * sqrt(budget))
        over = bad - meant
        scale = (knobs.deficit_share if over > 0 else knobs.surplus_share) * ended + knobs.slack_requests
        self._steer = max(-LIMIT, min(LIMIT, knobs.gain * over / (scale * share)))
        relative = max(-0.5, min(0.5, bad / (meant + FEW_BAD) - 1.0))
        self._drift += knobs.drift * relative * added / (ended + knobs.drift_requests)
        self._drift = max(-DRIFT_LIMIT, min(DRIFT_LIMIT, self._drift))

    def worth(self, window_nanousd: float, window_seconds: float, box_seconds: float) -> float:
        """n$ that one answer in time is worth, if a request takes `box_seconds` of the box and a window costs so much.
        Never negative, never more than `most_windows` windows."""
        first = self._settings.first_worth * window_nanousd / window_seconds * box_seconds
        return min(self._settings.most_windows * window_nanousd, first * exp(self._drift + self._steer))
