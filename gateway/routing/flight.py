"""One request under way at a backend, and the bracket around it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from gateway.routing.snapshot import LatencyCorrection


class Flight:
    """One request under way."""

    __slots__ = (
        "alone",
        "cold",
        "correction",
        "decoded_area",
        "first_at",
        "probe",
        "prompt_tokens",
        "read_area",
        "sent_at",
        "while_decoding",
    )

    def __init__(
        self, prompt_tokens: int, sent_at: float, alone: bool, cold: bool, while_decoding: bool, probe: bool,
        correction: LatencyCorrection,
    ) -> None:  # fmt: skip
        self.prompt_tokens = prompt_tokens
        self.sent_at = sent_at
        self.first_at: float | None = None
        self.alone = alone
        """No prompt stood before it and the batch had room: its TTFT is the time to read it."""
        self.cold = cold
        """A copy was starting: its TTFT says nothing of a copy that is up."""
        self.correction = correction
        """As it was when it was sent: the one in its prediction."""
        self.while_decoding = while_decoding
        self.probe = probe
        self.decoded_area = 0.0
        """Stream-seconds decoded by all up to its first token..."""
        self.read_area = 0.0
        """...and seconds in which prompts were read."""


class Follows(Protocol):
    """Whoever wants to know how it goes: the backend's `Tracker`."""

    def sent(self, prompt_tokens: int, now: float, expected_ttft_seconds: float | None = None) -> Flight: ...
    def first_token(self, flight: Flight, now: float) -> None: ...
    def ended(self, flight: Flight, now: float) -> None: ...


class UnderWay:
    """Brackets an attempt: `with tracker.under_way(tokens, clock) as flight`. Call it when the first token has come."""

    __slots__ = ("_clock", "_tracker", "flight", "over_at")

    def __init__(
        self, tracker: Follows, prompt_tokens: int, clock: Callable[[], float], expected_ttft_seconds: float | None,
        now: float | None = None,
    ) -> None:  # fmt: skip
        """`now`: the clock, where it was just looked at."""
        self._tracker = tracker
        self._clock = clock
        self.over_at: float | None = None
        """When it was over, where that is known at the bracket's end. (One moment for all that is noted of it: each
        later one would move the tracker's figures on once more.)"""
        self.flight = tracker.sent(prompt_tokens, clock() if now is None else now, expected_ttft_seconds)

    def __enter__(self) -> UnderWay:
        return self

    def __call__(self, now: float | None = None) -> None:
        self._tracker.first_token(self.flight, self._clock() if now is None else now)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tracker.ended(self.flight, self._clock() if self.over_at is None else self.over_at)
