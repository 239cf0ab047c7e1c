"""The simulated models in operation: admission, queues, throttles and counters around the pure state machine."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.bedrock.bill import ModelBill
from gateway.sandbox.bedrock.clock import NS, Clock, to_ns
from gateway.sandbox.bedrock.errors import BedrockError
from gateway.sandbox.bedrock.imported import ImportedModel, Limits, Refused
from gateway.sandbox.bedrock.settings import ImportedSettings, ModelSettings, Throttle

QUOTA_WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Admission:
    """A call taken in: its simulated arrival at the copy, and the copy (None where there are none)."""

    arrived_ns: int
    copy: int | None


class Gate:
    """The throttle of one model: requests in the last minute, and requests at once. Real time."""

    def __init__(self, throttle: Throttle, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._throttle = throttle
        self._monotonic = monotonic
        self._arrivals: deque[float] = deque()

    def check(self, in_flight: int) -> None:
        """Count a request, or refuse it with ThrottlingException."""
        limit = self._throttle.max_concurrent
        if limit is not None and in_flight >= limit:
            raise BedrockError("ThrottlingException", f"Too many concurrent requests: the limit is {limit}.")
        limit = self._throttle.requests_per_minute
        if limit is None:
            return
        now = self._monotonic()
        while self._arrivals and now - self._arrivals[0] >= QUOTA_WINDOW_SECONDS:
            self._arrivals.popleft()
        if len(self._arrivals) >= limit:
            raise BedrockError("ThrottlingException", f"Too many requests: the limit is {limit} per minute.")
        self._arrivals.append(now)


class ModelRuntime:
    """One model: who is in it, who waits for it, what it has cost."""

    def __init__(self, settings: ModelSettings, clock: Clock) -> None:
        self.settings = settings
        self.bill = ModelBill(settings, clock.time_scale)
        self.gate = Gate(settings.throttle)
        self.outcomes: Counter[str] = Counter()
        self.in_flight = 0
        self.cancelled = 0
        self.last_cancel_unix_seconds: float | None = None
        self._clock = clock
        self._waiting: deque[object] = deque()
        self._changed = asyncio.Event()
        self._machine: ImportedModel | None = None
        if isinstance(settings, ImportedSettings):
            self._machine = ImportedModel(
                Limits(
                    to_ns(settings.cold_start_seconds),
                    to_ns(settings.idle_seconds),
                    settings.max_copies,
                    settings.concurrency_per_copy,
                )
            )

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[Admission]:
        """Hold a place on a copy. BedrockError: ModelNotReadyException, ThrottlingException when the queue is full."""
        admission = await self._admit()
        try:
            yield admission
        finally:
            if self._machine is not None and admission.copy is not None:
                self._machine.release(admission.copy)
                self.wake()

    def served(self, admission: Admission) -> None:
        """The call proved good: from its arrival on it counts for windows and idleness."""
        if self._machine is not None and admission.copy is not None:
            self._machine.served(admission.copy, admission.arrived_ns)
        self.bill.served(admission.copy, admission.arrived_ns)

    def wake(self) -> None:
        """Let waiting calls look again: a place got free, or simulated time has jumped."""
        self._changed.set()
        self._changed = asyncio.Event()

    def cancel(self) -> None:
        self.cancelled += 1
        self.last_cancel_unix_seconds = time.time()

    async def _admit(self) -> Admission:
        arrived_ns = self._clock.now_ns()
        machine, settings = self._machine, self.settings
        if machine is None or not isinstance(settings, ImportedSettings):
            return Admission(arrived_ns, None)
        ticket = object()
        try:
            while True:
                now_ns = self._clock.now_ns()
                if not self._waiting or self._waiting[0] is ticket:
                    taken = machine.admit(now_ns)
                else:
                    taken = Refused.FULL if machine.state(now_ns) == "warm" else Refused.NOT_READY
                if isinstance(taken, int):
                    return Admission(now_ns, taken)
                full = taken is Refused.FULL
                until_ns = arrived_ns + to_ns(settings.queue_seconds if full else settings.blocking_wait_seconds)
                if now_ns >= until_ns:
                    raise BedrockError(
                        "ModelNotReadyException",
                        f"Model is not ready for inference: {taken.value}. Wait and try your request again.",
                    )
                if ticket not in self._waiting:
                    if len(self._waiting) >= settings.max_queued:
                        raise BedrockError(
                            "ThrottlingException",
                            f"Too many requests wait for this model: the limit is {settings.max_queued}.",
                        )
                    self._waiting.append(ticket)
                ready_ns = machine.next_ready_ns(now_ns)
                await self._until_changed(min(until_ns, ready_ns or until_ns) - now_ns)
        finally:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                self.wake()

    async def _until_changed(self, span_ns: int) -> None:
        """Wait for `wake`, at most `span_ns` of simulated time."""
        try:
            async with asyncio.timeout(max(0.001, self._clock.real_seconds(span_ns))):
                await self._changed.wait()
        except TimeoutError:
            pass

    def report(self) -> dict[str, Any]:
        """JSON-ready state of the model."""
        now = self._clock.now_ns()
        report: dict[str, Any] = {
            "kind": self.settings.kind,
            "in_flight": self.in_flight,
            "queued": len(self._waiting),
            "cancelled": self.cancelled,
            "last_cancel_unix_seconds": self.last_cancel_unix_seconds,
            "outcomes": dict(self.outcomes),
        }
        if self._machine is not None and isinstance(self.settings, ImportedSettings):
            idle_ns = to_ns(self.settings.idle_seconds)
            report["state"] = self._machine.state(now)
            report["copies_started"] = self._machine.copies_started
            report["copies"] = [
                {
                    "copy": copy.number,
                    "state": "restoring" if copy.ready_at_ns > now else "busy" if copy.in_flight else "idle",
                    "in_flight": copy.in_flight,
                    "ready_at_seconds": copy.ready_at_ns / NS,
                    "cold_at_seconds": copy.expires_ns(idle_ns) / NS,
                }
                for copy in self._machine.copies
            ]
        return report
