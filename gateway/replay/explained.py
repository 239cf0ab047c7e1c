"""Why did one request of a trace go where it went? The replay up to it, and the production router's own explanation."""

from __future__ import annotations

from typing import Any

import numpy as np

from gateway.replay.requests import Requests
from gateway.replay.setting import Setting
from gateway.replay.world import Decides, simulate
from gateway.routing.decision import Decision
from gateway.routing.explanation import explanation
from gateway.routing.facts import RequestFacts
from gateway.routing.snapshot import FleetSnapshot


class NoSuchRequestError(ValueError):
    """The replay has no such request; the message says what there is."""


class _AnsweredError(Exception):
    """The request has been sent or refused: what comes after it is of no interest."""


class _Listening:
    """A router that keeps what it says of one request, told from the others by when it came."""

    def __init__(self, router: Decides, number: int, arrival_s: float) -> None:
        self._router = router
        self._left = number
        self._arrival_s = arrival_s
        self.told: list[dict[str, Any]] = []

    def decide(self, facts: RequestFacts, fleet: FleetSnapshot) -> Decision:
        decision = self._router.decide(facts, fleet)
        if facts.asked_before:
            mine = bool(self.told) and abs(fleet.at - facts.elapsed_seconds - self._arrival_s) < 1e-6
        else:
            self._left -= 1
            mine = self._left == 0
        if mine:
            self.told.append({"at_seconds": fleet.at, **explanation(facts, fleet, decision)})
            if decision.hold_seconds is None:
                raise _AnsweredError
        return decision

    def note(self, facts: RequestFacts, decision: Decision, now: float) -> None:
        self._router.note(facts, decision, now)

    def ended(self, facts: RequestFacts, bad: bool, now: float) -> None:
        self._router.ended(facts, bad, now)


def explained(
    requests: Requests, router: Decides, setting: Setting, number: int, *, learning: bool = False
) -> list[dict[str, Any]]:
    """What was decided of request `number`, from 1 in order of arrival: one explanation, and one more for each time
    that it was held before. `at_seconds` is on the trace's clock. Raises NoSuchRequestError."""
    if not 1 <= number <= len(requests):
        raise NoSuchRequestError(f"request {number}: this replay has requests 1 to {len(requests)}")
    listening = _Listening(router, number, float(requests.arrival_s[number - 1]))
    try:
        simulate(requests, listening, setting, name="explained", learning=learning)
    except _AnsweredError:
        pass
    return listening.told


def first_from(requests: Requests, seconds: float) -> int:
    """The number of the first request that comes at `seconds` or later. Raises NoSuchRequestError."""
    number = int(np.searchsorted(requests.arrival_s, seconds)) + 1
    if number > len(requests):
        last = float(requests.arrival_s[-1])
        raise NoSuchRequestError(f"no request at {seconds:g} s or later: the last one comes at {last:.0f} s")
    return number
