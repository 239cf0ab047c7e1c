"""A simulated backend as the live gateway would know it: through the production `Tracker`, from nothing but when
requests were sent, when their first tokens came, and when they ended.

Without it the router is shown the backends' true state; with it what is learned, and what is mistaken, is replayed too.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from gateway.economics.prices import WindowCost
from gateway.economics.windows import WindowView
from gateway.replay.setting import Place
from gateway.routing.facts import Ceiling
from gateway.routing.flight import Flight
from gateway.routing.predict import Prediction
from gateway.routing.snapshot import BackendState
from gateway.routing.tracker import Tracker


class Simulated(Protocol):
    """What is asked of a simulated backend here."""

    def state(self, now: float) -> BackendState: ...


class Observed:
    """Takes the place of a simulated backend's own `state`."""

    __slots__ = ("_cold_seconds", "_first_s", "_flights", "_simulated", "_tracker", "_unread")

    def __init__(self, place: Place, simulated: Simulated, first_s: list[float], margin: float) -> None:
        self._tracker = Tracker(place.name, place.max_in_flight, place.speed, margin)
        self._simulated = simulated
        self._first_s = first_s
        self._cold_seconds = place.cost.cold_start_seconds if isinstance(place.cost, WindowCost) else None
        self._flights: dict[int, tuple[Flight, float, Prediction | None]] = {}
        """By request, with when it was sent and what was predicted."""
        self._unread: deque[tuple[int, Flight]] = deque()
        """In the order sent, which is the order in which first tokens come (nearly, where prompts are read side by
        side)."""

    def sent(self, request: int, prompt_tokens: int, predicted: Prediction | None, now: float) -> None:
        self._read(now)
        self._expect_cold_start(now)
        flight = self._tracker.sent(prompt_tokens, now)
        self._flights[request] = flight, now, predicted
        self._unread.append((request, flight))

    def warmed(self, now: float) -> None:
        """The gateway's own call."""
        self._expect_cold_start(now)

    def ended(self, request: int, output_tokens: float, ceiling: Ceiling, now: float) -> None:
        self._read(now)
        tracker = self._tracker
        flight, sent_s, predicted = self._flights.pop(request)
        first_s = self._first_s[request]
        tracker.first_token(flight, first_s)
        tracker.generated(int(output_tokens), now)
        if predicted is not None:
            per_token = (now - first_s) / (output_tokens - 1) if output_tokens > 1 else None
            tracker.observed(
                predicted,
                first_s - sent_s,
                per_token,
                now,
                flight=flight,
                output_tokens=int(output_tokens),
                ceiling=ceiling,
            )
        tracker.ended(flight, now)
        tracker.succeeded()

    def state(self, now: float) -> BackendState:
        self._read(now)
        return self._tracker.state(now, self._window(now))

    def _window(self, now: float) -> WindowView | None:
        return None if self._cold_seconds is None else self._simulated.state(now).window

    def _expect_cold_start(self, now: float) -> None:
        window = self._window(now)
        if self._cold_seconds is not None and window is not None and window.copies == 0:
            self._tracker.cold_start_began(now, self._cold_seconds)

    def _read(self, now: float) -> None:
        """The first tokens that have come by now. (Those still to come are NaN, or later.)"""
        unread = self._unread
        while unread and self._first_s[unread[0][0]] <= now:
            request, flight = unread.popleft()
            self._tracker.first_token(flight, self._first_s[request])
            self._tracker.answering()
