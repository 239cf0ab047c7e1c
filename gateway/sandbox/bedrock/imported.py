"""The life of an imported model: cold -> restoring -> warm -> idle -> cold. Pure; simulated time is passed in.

A call on a cold model starts a copy, which is warm after the cold start. A copy serves up to its concurrency; the
lowest-numbered copy with room takes a call. When a call finds every warm copy full it queues, and a further copy is
started, one at a time, up to the maximum. A copy goes once `idle_ns` have passed since its last served call (or since
it got warm, when nobody came) and none is in flight on it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Limits:
    cold_start_ns: int
    idle_ns: int
    max_copies: int
    concurrency_per_copy: int


@dataclass(slots=True)
class Copy:
    """One running (or restoring) copy. `last_call_ns` is the latest arrival it served."""

    number: int
    ready_at_ns: int
    in_flight: int = 0
    last_call_ns: int | None = None

    def expires_ns(self, idle_ns: int) -> int:
        return (self.ready_at_ns if self.last_call_ns is None else self.last_call_ns) + idle_ns


class Refused(enum.Enum):
    """Why a call was not admitted."""

    NOT_READY = "no copy is warm"
    FULL = "every warm copy is full"


@dataclass(slots=True)
class ImportedModel:
    """The state machine. `admit` at a call's arrival, `served` once it proved good, `release` at its end."""

    limits: Limits
    copies: list[Copy] = field(default_factory=list)
    copies_started: int = 0

    def advance(self, now_ns: int) -> None:
        """Drop the copies that have gone idle by `now_ns`."""
        self.copies = [c for c in self.copies if c.in_flight > 0 or now_ns < c.expires_ns(self.limits.idle_ns)]

    def admit(self, now_ns: int) -> int | Refused:
        """The number of the copy that takes the call, or why none does. Starts a copy where one is needed."""
        self.advance(now_ns)
        warm = [c for c in self.copies if c.ready_at_ns <= now_ns]
        for copy in warm:
            if copy.in_flight < self.limits.concurrency_per_copy:
                copy.in_flight += 1
                return copy.number
        restoring = len(self.copies) > len(warm)
        if not restoring and len(self.copies) < self.limits.max_copies:
            self._start(now_ns)
            if self.limits.cold_start_ns == 0:
                return self.admit(now_ns)
        return Refused.FULL if warm else Refused.NOT_READY

    def served(self, number: int, arrived_ns: int) -> None:
        """A call that arrived at `arrived_ns` counts as successful: it keeps the copy from going idle."""
        copy = self._copy(number)
        copy.last_call_ns = arrived_ns if copy.last_call_ns is None else max(copy.last_call_ns, arrived_ns)

    def release(self, number: int) -> None:
        self._copy(number).in_flight -= 1

    def next_ready_ns(self, now_ns: int) -> int | None:
        """When the next restoring copy gets warm."""
        return min((c.ready_at_ns for c in self.copies if c.ready_at_ns > now_ns), default=None)

    def state(self, now_ns: int) -> Literal["cold", "restoring", "warm"]:
        self.advance(now_ns)
        if any(c.ready_at_ns <= now_ns for c in self.copies):
            return "warm"
        return "restoring" if self.copies else "cold"

    def _start(self, now_ns: int) -> None:
        self.copies_started += 1
        self.copies.append(Copy(self.copies_started, now_ns + self.limits.cold_start_ns))

    def _copy(self, number: int) -> Copy:
        return next(c for c in self.copies if c.number == number)
