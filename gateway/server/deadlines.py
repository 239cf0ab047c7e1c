"""Until when an attempt is waited for: the policy's timeouts, the patience that leaves time for another backend, and
what the request itself allows. Pure: every moment is on the monotonic clock, in seconds."""

from __future__ import annotations

from math import inf

import msgspec

from gateway.backends.errors import UpstreamError, deadline_exceeded
from gateway.policy.backends import TimeoutSettings
from gateway.routing.facts import Ceiling

PATIENCE_FACTOR = 4.0
LEAST_PATIENCE_SECONDS = 30.0
"""While another backend is left to try, a first byte is waited for this long, or PATIENCE_FACTOR times its prediction,
or as long as the ceiling allows: whichever is longest."""
CLOCK_STEP_SECONDS = 0.005
"""Timers may fire this much early."""


class Allowed(msgspec.Struct, frozen=True):
    """What a request's own headers allow: a hard end, unlike the ceilings of its alias, which are targets.

    `ttft_seconds` counts for streams only: of another answer nobody can see when its first token came."""

    arrived: float
    ttft_seconds: float | None = None
    latency_seconds: float | None = None

    @property
    def first_byte(self) -> float:
        """The latest moment for the first byte, by whichever header is stricter."""
        return self.arrived + min(self.ttft_seconds or inf, self.latency_seconds or inf)

    @property
    def end(self) -> float:
        return self.arrived + (self.latency_seconds or inf)

    def exceeded(self, now: float, *, answering: bool = False) -> UpstreamError | None:
        """None: there is time left. `answering`: the first byte has come."""
        if self.latency_seconds is None and self.ttft_seconds is None:
            return None
        now += CLOCK_STEP_SECONDS
        if self.latency_seconds is not None and now >= self.end:
            return deadline_exceeded("x-crossover-max-latency-ms", self.latency_seconds)
        if not answering and self.ttft_seconds is not None and now >= self.first_byte:
            return deadline_exceeded("x-crossover-max-ttft-ms", self.ttft_seconds)
        return None


class Deadlines(msgspec.Struct, frozen=True):
    """Of one attempt."""

    first_byte: float
    """For a stream the first bytes of its answer, else the whole of it; a cold start is waited for within it."""
    cold: float
    """Until when a cold start is waited for."""
    end: float
    """The last byte."""


def deadlines_of(
    allowed: Allowed, timeouts: TimeoutSettings, ceiling: Ceiling, expected_ttft_seconds: float, now: float, *,
    last: bool,
) -> Deadlines:  # fmt: skip
    """Of an attempt that begins `now`. `last`: no other backend is left to try. `ceiling`: of the request or its alias.

    None of them is later than what the request itself allows, nor than the policy's total."""
    end = min(now + timeouts.total_seconds, allowed.end)
    first_byte = now + timeouts.first_byte_seconds
    cold = inf
    if not last:
        patience = max(LEAST_PATIENCE_SECONDS, PATIENCE_FACTOR * expected_ttft_seconds)
        first_byte = min(first_byte, max(allowed.arrived + (ceiling.ttft_seconds or 0.0), now + patience))
        cold = allowed.arrived + min(ceiling.ttft_seconds or inf, ceiling.latency_seconds or inf)
    return Deadlines(min(first_byte, end, allowed.first_byte), cold, end)
