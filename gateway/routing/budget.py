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
FORGIVEN = 2.0
"""What is overspent beyond so many times what raises the worth to its limit is forgotten."""
DRIFT_LIMIT = 3.0
FEW_BAD = 3.0
"""So many bad requests are no pattern yet."""


class Budget:
    """Steers the worth of an answer in time, in n$. Counts come from outside: several gateways may share them."""

    __slots__ = ("_counted", "_drift", "_settings", "_share", "_steer", "bad", "ended")

    def __init__(self, settings: BudgetSettings, error_budget: float) -> None:
        self._settings = settings
        self._share = error_budget
        self._drift = 0.0
        self._steer = 0.0
        self._counted = (0, 0)
        self.ended = self.bad = 0.0
        """Requests, and those that were bad, as they are remembered: what is long past fades."""

    def counted(self, ended: int, bad: int) -> None:
        """So many requests have ended in all, so many of them badly."""
        knobs, share = self._settings, self._share
        added, badly = ended - self._counted[0], bad - self._counted[1]
        self._counted = ended, bad
        kept = max(0.0, 1.0 - added / knobs.memory_requests)
        self.ended = self.ended * kept + added
        self.bad = self.bad * kept + badly
        budget = share * self.ended
        meant = max(0.0, knobs.aim * budget - knobs.caution * sqrt(budget))
        over = self.bad - meant
        scale = share * ((knobs.deficit_share if over > 0 else knobs.surplus_share) * self.ended + knobs.slack_requests)
        steer = knobs.gain * over / scale
        if steer > FORGIVEN * LIMIT:  # an outage is not paid back for ever
            self.bad = meant + FORGIVEN * LIMIT * scale / knobs.gain
        self._steer = max(-LIMIT, min(LIMIT, steer))
        relative = max(-0.5, min(0.5, self.bad / (meant + FEW_BAD) - 1.0))
        self._drift += knobs.drift * relative * added / (self.ended + knobs.drift_requests)
        self._drift = max(-DRIFT_LIMIT, min(DRIFT_LIMIT, self._drift))

    def worth(self, window_nanousd: float, window_seconds: float, box_seconds: float) -> float:
        """n$ that one answer in time is worth, if a request takes `box_seconds` of the box and a window costs so much.
        Never negative, never more than `most_windows` windows."""
        first = self._settings.first_worth * window_nanousd / window_seconds * box_seconds
        return min(self._settings.most_windows * window_nanousd, first * exp(self._drift + self._steer))
