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

    __slots__ = (
        "_aim", "_bad", "_caution", "_deficit_share", "_drift", "_drift_gain", "_drift_requests", "_ended", "_gain",
        "_memory", "_settings", "_share", "_slack", "_steer", "_surplus_share", "bad", "ended",
    )  # fmt: skip

    def __init__(self, settings: BudgetSettings, error_budget: float) -> None:
        self._settings = settings
        self._share = error_budget
        # Asked for at the end of each request, where a field of pydantic's costs ten times as much.
        self._aim, self._caution, self._gain = settings.aim, settings.caution, settings.gain
        self._deficit_share, self._surplus_share = settings.deficit_share, settings.surplus_share
        self._slack, self._memory = settings.slack_requests, settings.memory_requests
        self._drift_gain, self._drift_requests = settings.drift, settings.drift_requests
        self._drift = 0.0
        self._steer = 0.0
        self._ended = self._bad = 0
        self.ended = self.bad = 0.0
        """Requests, and those that were bad, as they are remembered: what is long past fades."""

    def counted(self, ended: int, bad: int) -> None:
        """So many requests have ended in all, so many of them badly."""
        share = self._share
        added, badly = ended - self._ended, bad - self._bad
        self._ended, self._bad = ended, bad
        kept = 1.0 - added / self._memory
        if kept < 0.0:
            kept = 0.0
        now_ended = self.ended = self.ended * kept + added
        now_bad = self.bad * kept + badly
        budget = share * now_ended
        meant = self._aim * budget - self._caution * sqrt(budget)
        if meant < 0.0:
            meant = 0.0
        over = now_bad - meant
        scale = share * ((self._deficit_share if over > 0 else self._surplus_share) * now_ended + self._slack)
        steer = self._gain * over / scale
        if steer > FORGIVEN * LIMIT:  # an outage is not paid back for ever
            now_bad = meant + FORGIVEN * LIMIT * scale / self._gain
        self.bad = now_bad
        self._steer = LIMIT if steer > LIMIT else -LIMIT if steer < -LIMIT else steer
        relative = now_bad / (meant + FEW_BAD) - 1.0
        relative = 0.5 if relative > 0.5 else -0.5 if relative < -0.5 else relative
        drift = self._drift + self._drift_gain * relative * added / (now_ended + self._drift_requests)
        self._drift = DRIFT_LIMIT if drift > DRIFT_LIMIT else -DRIFT_LIMIT if drift < -DRIFT_LIMIT else drift

    def worth(self, window_nanousd: float, window_seconds: float, box_seconds: float) -> float:
        """n$ that one answer in time is worth, if a request takes `box_seconds` of the box and a window costs so much.
        Never negative, never more than `most_windows` windows."""
        first = self._settings.first_worth * window_nanousd / window_seconds * box_seconds
        return min(self._settings.most_windows * window_nanousd, first * exp(self._drift + self._steer))
