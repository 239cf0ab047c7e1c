"""The fleet as the gateway sees it: mutable trackers that observers and requests update, and the snapshot for routing.

Everything runs on the event loop: no locks. A request's count goes up and down in one place (`Tracker.under_way`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from gateway.backends.errors import Fault
from gateway.backends.tokens import BytesPerToken
from gateway.economics.windows import WindowView
from gateway.routing.predict import DEFAULT_OUTPUT_TOKENS, Prediction
from gateway.routing.snapshot import BackendState, FleetSnapshot, LatencyCorrection

FAILURES_TO_OPEN = 3
"""Failures in a row, without a success between, after which a backend is left alone."""
OPEN_SECONDS = 5.0
"""For so long at first; twice as long each further time, up to..."""
LONGEST_OPEN_SECONDS = 60.0
THROTTLE_SECONDS = 1.0
"""After "too many requests" that names no time."""
METRICS_STALE_SECONDS = 5.0
"""Older scrapes say nothing of the load now."""
RATE_SECONDS = 60.0
CORRECTION_WEIGHT = 0.1
CORRECTION_SECONDS = 300.0
"""A correction that nothing confirms fades with this time constant: a backend that was slow once is tried again."""
LONGEST_THROTTLE_SECONDS = 60.0
RESTORE_GRACE_SECONDS = 30.0
"""A cold start that is this much overdue is not under way any more."""
CORRECTION_LIMITS = (0.2, 5.0)
OUTPUT_WEIGHT = 0.05


class Load:
    """A backend's own word on its load, from its metrics page."""

    __slots__ = ("at", "kv_cache_usage", "own_in_flight", "requests")

    def __init__(self, at: float, requests: int, own_in_flight: int, kv_cache_usage: float | None) -> None:
        self.at = at
        self.requests = requests
        """Running and waiting there, of everybody."""
        self.own_in_flight = own_in_flight
        """Of these ours, at the moment of the scrape."""
        self.kv_cache_usage = kv_cache_usage


class Tracker:
    """What is known of one backend."""

    def __init__(self, name: str, max_in_flight: int, capacity_tokens_per_second: float) -> None:
        self.name = name
        self.max_in_flight = max_in_flight
        self.capacity = capacity_tokens_per_second
        self.in_flight = 0
        self.unread_prompt_tokens = 0
        self.reachable = True
        """By its observer; a backend without one counts as reachable until requests fail."""
        self.load: Load | None = None
        self.throttled_until = -math.inf
        self.restoring_until: float | None = None
        self.last_failure: str | None = None
        self._failures = 0
        self._open_until = -math.inf
        self._open_seconds = OPEN_SECONDS
        self._ttft_correction = 0.0
        self._token_correction = 0.0
        self._corrected_at = 0.0
        self._probing = 0
        """Requests under way since the circuit closed on trial."""
        self._rate = 0.0
        self._rate_at = 0.0

    @contextmanager
    def under_way(self, prompt_tokens: int) -> Iterator[Callable[[], None]]:
        """Brackets an attempt. Call what it gives when the first token has come."""
        self.in_flight += 1
        self.unread_prompt_tokens += prompt_tokens
        unread = prompt_tokens
        probe = self._failures >= FAILURES_TO_OPEN
        self._probing += probe

        def first_token() -> None:
            nonlocal unread
            self.unread_prompt_tokens -= unread
            unread = 0

        try:
            yield first_token
        finally:
            first_token()
            self.in_flight -= 1
            self._probing -= probe

    # -- what attempts tell ---------------------------------------------------------------------------------------

    def answering(self) -> None:
        """The first bytes have come: it is not cold. Whether it works is known at the end."""
        self.restoring_until = None

    def succeeded(self) -> None:
        self._failures = 0
        self._open_until = -math.inf
        self._open_seconds = OPEN_SECONDS
        self.last_failure = None

    def failed(self, fault: Fault, why: str, now: float, retry_after_seconds: float | None = None) -> None:
        """A client's mistake says nothing of a backend; throttling pauses it; only its own faults open the circuit."""
        if fault is Fault.CAPACITY:
            self.throttled_until = now + min(LONGEST_THROTTLE_SECONDS, retry_after_seconds or THROTTLE_SECONDS)
        elif fault is Fault.UPSTREAM:
            self.last_failure = why
            self._failures += 1
            if self._failures >= FAILURES_TO_OPEN and now >= self._open_until:
                self._open_until = now + self._open_seconds
                self._open_seconds = min(LONGEST_OPEN_SECONDS, 2 * self._open_seconds)

    def cold_start_began(self, now: float, seconds: float) -> None:
        if self.restoring_until is None or self.restoring_until < now:
            self.restoring_until = now + seconds

    def circuit_open(self, now: float) -> bool:
        """After its time one request at a time may try: one more failure opens it again, a success closes it."""
        return now < self._open_until or (self._failures >= FAILURES_TO_OPEN and self._probing > 0)

    def askable(self, now: float) -> bool:
        """Whether a request that could not be answered elsewhere should come here."""
        return (
            self.reachable
            and not self.circuit_open(now)
            and now >= self.throttled_until
            and self.in_flight < self.max_in_flight
        )

    def recovered(self) -> None:
        """Its observer reached it again: no need to wait out the circuit."""
        self._failures = 0
        self._open_until = -math.inf
        self.throttled_until = -math.inf

    def observed(self, predicted: Prediction, ttft_seconds: float, seconds_per_token: float | None, now: float) -> None:
        """What came, held against what was predicted: the ratio moves later predictions, in steps and within limits."""
        fade = self._fade(now)
        self._ttft_correction *= fade
        self._token_correction *= fade
        self._corrected_at = now
        low, high = (math.log(limit) for limit in CORRECTION_LIMITS)

        def moved(current: float, seen: float, expected: float) -> float:
            if seen <= 0 or expected <= 0:
                return current
            target = current + math.log(seen / expected)
            return current + CORRECTION_WEIGHT * (min(high, max(low, target)) - current)

        self._ttft_correction = moved(self._ttft_correction, ttft_seconds, predicted.ttft_seconds)
        if seconds_per_token is not None:
            self._token_correction = moved(self._token_correction, seconds_per_token, predicted.seconds_per_token)

    def _fade(self, now: float) -> float:
        return math.exp(-max(0.0, now - self._corrected_at) / CORRECTION_SECONDS)

    def _correction(self, now: float) -> LatencyCorrection:
        if not self._ttft_correction and not self._token_correction:
            return LatencyCorrection()
        fade = self._fade(now)
        return LatencyCorrection(math.exp(fade * self._ttft_correction), math.exp(fade * self._token_correction))

    def _restoring(self, now: float) -> float | None:
        until = self.restoring_until
        return None if until is None or now > until + RESTORE_GRACE_SECONDS else max(0.0, until - now)

    def generated(self, output_tokens: int, now: float) -> None:
        self._rate = self.tokens_per_second(now) + output_tokens / RATE_SECONDS
        self._rate_at = now

    def tokens_per_second(self, now: float) -> float:
        """Output tokens/s of about the last minute."""
        return self._rate * math.exp(-max(0.0, now - self._rate_at) / RATE_SECONDS)

    # -- for routing ----------------------------------------------------------------------------------------------

    def state(self, now: float, window: WindowView | None) -> BackendState:
        load = self.load if self.load is not None and now - self.load.at <= METRICS_STALE_SECONDS else None
        return BackendState(
            name=self.name,
            up=self.reachable,
            circuit_open=self.circuit_open(now),
            in_flight=self.in_flight,
            foreign=0 if load is None else max(0, load.requests - load.own_in_flight),
            unread_prompt_tokens=self.unread_prompt_tokens,
            max_in_flight=self.max_in_flight,
            throttled_seconds=max(0.0, self.throttled_until - now),
            kv_cache_usage=None if load is None else load.kv_cache_usage,
            utilization=self.tokens_per_second(now) / self.capacity,
            window=window,
            restoring_seconds=self._restoring(now),
            correction=self._correction(now),
            metrics_age_seconds=None if self.load is None else now - self.load.at,
        )


class Fleet:
    """All trackers, and what is learned of the aliases."""

    def __init__(self, trackers: Mapping[str, Tracker], window_view: Callable[[str, float], WindowView | None]) -> None:
        self.trackers = trackers
        self._window_view = window_view
        self._mean_output: dict[str, float] = {}
        self._bytes_per_token: dict[str, BytesPerToken] = {}

    def snapshot(self, now: float) -> FleetSnapshot:
        return FleetSnapshot(
            now,
            {name: tracker.state(now, self._window_view(name, now)) for name, tracker in self.trackers.items()},
            self._mean_output.copy(),
        )

    def estimate_prompt_tokens(self, alias: str, size_bytes: int) -> int:
        learned = self._bytes_per_token.get(alias)
        return max(1, size_bytes // 4) if learned is None else learned.estimate(size_bytes)

    def answered(self, alias: str, prompt_bytes: int, input_tokens: int, output_tokens: int) -> None:
        """An answer with exact usage: what the next request of this alias may look like."""
        self._bytes_per_token.setdefault(alias, BytesPerToken()).learn(prompt_bytes, input_tokens)
        mean = self._mean_output.get(alias, DEFAULT_OUTPUT_TOKENS)
        self._mean_output[alias] = mean + OUTPUT_WEIGHT * (output_tokens - mean)
