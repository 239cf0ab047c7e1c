"""One request to one backend, booked however it ends: an application's, or the gateway's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.backends.contract import Reply, UpstreamRequest
from gateway.backends.errors import Fault, UpstreamError
from gateway.backends.usage import MISSING, Usage
from gateway.metering.records import Attempt, Outcome
from gateway.routing.facts import RequestFacts
from gateway.routing.flight import Flight
from gateway.routing.predict import Prediction
from gateway.server.core import Core
from gateway.server.deadlines import Allowed
from gateway.server.fleet import blame
from gateway.server.verdict import outcome_of

CLIENT_CLOSED = 499
"""The status booked when the client went before the end. Never sent: nobody is there."""


class AttemptRun:
    """`run` once; then `outcome`, `status` and `usage` say what came of it.

    `facts`, `caller` (its key's name): of an application's request. Without them the attempt teaches nothing about
    answers to come."""

    def __init__(
        self, core: Core, operation_id: str, number: int, backend: str, request: UpstreamRequest, input_tokens: int, *,
        predicted: Prediction | None = None, facts: RequestFacts | None = None, caller: str = "",
        allowed: Allowed | None = None,
    ) -> None:  # fmt: skip
        self._core = core
        self._operation_id = operation_id
        self._number = number
        self._backend = backend
        self._request = request
        self._input_tokens = input_tokens
        self._predicted = predicted
        self._facts = facts
        self._caller = caller
        self._allowed = allowed
        self._ttft: float | None = None
        self.answered_at: float | None = None
        """When the first bytes came (monotonic seconds)."""
        self.record: Attempt | None = None
        """What was booked."""
        self.usage = MISSING
        self.outcome: Outcome = "cancelled"
        self.status = CLIENT_CLOSED

    async def run(self, relay: Callable[[Reply], Awaitable[None]]) -> None:
        """`relay` passes the answer on. Raises `UpstreamError`, and whatever `relay` raises."""
        core, name, request = self._core, self._backend, self._request
        tracker, meter = core.fleet.trackers[name], core.meter
        started = core.clock()
        windowed = name in core.windowed
        expected_cold = windowed and self._expect_cold_start(started)
        call = _Call(core, name) if windowed else None
        request.wire.listener = call
        reply: Reply | None = None
        copy: int | None = None
        silent = None if request.stream or self._predicted is None else self._predicted.ttft_seconds
        with tracker.under_way(self._input_tokens, core.clock, silent, started) as under_way:
            meter.attempt_under_way(name, started)
            try:
                reply = await core.backends[name].send(request)
                self.answered_at = answered = core.clock()
                under_way(answered)
                if request.stream:
                    self._ttft = answered - started
                tracker.answering()
                if call is not None:
                    copy = meter.window_call_began(name, reply.admitted_at, answered, call.ticket)
                await relay(reply)
                self.outcome, self.status = "ok", 200
                tracker.succeeded()
            except UpstreamError as failure:
                error = self._whose(failure)
                self.outcome, self.status = outcome_of(error), error.status
                if error.fault is not Fault.MODEL:
                    blame(tracker, error, core.clock())
                elif not core.deployments.lost(request.alias, name, request.target.model):
                    tracker.broke(error.message, core.clock())
                if expected_cold and call is not None and not call.cold and request.wire.sent_at is None:
                    tracker.answering()  # refused, or never sent: nobody else is to wait for a copy
                try:
                    raise error from None
                finally:
                    del error  # else it and this frame hold each other, and all that came, until a full collection
            finally:
                under_way.over_at = now = core.clock()
                if reply is not None:
                    self.usage = reply.usage
                    reply.close()
                elif request.wire.sent_at is not None:
                    # It was sent, and nobody said that it was refused: it may be billed, and opens a window.
                    self.usage = Usage(self._input_tokens, 0, "estimated")
                    if call is not None:
                        copy = meter.window_call_began(name, request.wire.sent_at, now, call.ticket)
                meter.attempt_over(name, now)
                if call is not None:
                    meter.window_call_refused(name, call.ticket)
                    meter.window_call_ended(name, copy)
                self._book(started, now - started, reply is not None)
                if reply is not None:
                    self._learn(now - started, now, under_way.flight)

    def _whose(self, failure: UpstreamError) -> UpstreamError:
        """What was waited for no longer because the request allows no more is no fault of the backend."""
        if self._allowed is None or failure.status not in (503, 504):
            return failure
        return self._allowed.exceeded(self._core.clock(), answering=self.answered_at is not None) or failure

    def _expect_cold_start(self, now: float) -> bool:
        """Whether this attempt is the one that is believed to start a copy."""
        window = self._core.meter.window_view(self._backend, now)
        return window is not None and window.copies == 0 and _cold_start(self._core, self._backend, now)

    def _book(self, started: float, seconds: float, answered: bool) -> None:
        core, usage, request = self._core, self.usage, self._request
        self.record = record = Attempt(
            self._operation_id, self._number, self._backend, request.target.model, core.meter.wall(started),
            self.outcome, self.status, usage.input_tokens, usage.output_tokens, usage.certainty,
            0 if usage is MISSING and not answered else core.meter.price(self._backend, usage), self._ttft, seconds,
            request.target.generation,
        )  # fmt: skip
        core.meter.attempt_ended(request.alias, record, usage, asked_for=self._facts is not None)

    def _learn(self, seconds: float, now: float, flight: Flight) -> None:
        """What this attempt says about the next ones. Only streams tell when the first token came."""
        core, name, usage, ttft = self._core, self._backend, self.usage, self._ttft
        tracker = core.fleet.trackers[name]
        tracker.generated(usage.output_tokens, now)
        if self._facts is None:
            return
        alias = self._facts.alias
        if ttft is not None:
            per_token = (seconds - ttft) / (usage.output_tokens - 1) if usage.output_tokens > 1 else None
            core.series.latency(name, alias, ttft, per_token, self._request.target.generation)
            core.latencies.observed(name, ttft, per_token, now)
            if self.outcome == "ok" and self._predicted is not None:
                tracker.observed(
                    self._predicted, ttft, per_token, now,
                    flight=flight, output_tokens=usage.output_tokens, ceiling=self._facts.ceiling,
                )  # fmt: skip
        if self.outcome == "ok" and usage.certainty == "exact" and self._facts.operation != "count_tokens":
            core.fleet.answered(
                alias, self._request.prompt_bytes, usage.input_tokens, usage.output_tokens, self._caller
            )


class _Call:
    """Hears of each call of an attempt, and tells the window meter: what is under way takes room before it is answered,
    and a refusal corrects what is believed of the copies."""

    def __init__(self, core: Core, backend: str) -> None:
        self._core = core
        self._backend = backend
        self._sent_at = 0.0
        self.ticket: int | None = None
        self.cold = False
        """It was told that a copy is starting."""

    def sent(self, at: float) -> None:
        meter = self._core.meter
        meter.window_call_refused(self._backend, self.ticket)  # of a call before it, that was held and not answered
        self._sent_at = at
        self.ticket = meter.window_call_sent(self._backend, at)

    def refused(self, error: UpstreamError | None) -> None:
        meter, backend = self._core.meter, self._backend
        meter.window_call_refused(backend, self.ticket)
        self.ticket = None
        if error is None:
            return
        self.cold = self.cold or error.fault is Fault.COLD
        if error.fault is Fault.CAPACITY:
            meter.window_throttled(backend, self._core.clock())
        elif error.fault is Fault.COLD and meter.window_not_ready(backend, self._sent_at):
            _cold_start(self._core, backend, self._core.clock())


def _cold_start(core: Core, backend: str, now: float) -> bool:
    cost = core.settings[backend].cost
    return (
        cost is not None
        and cost.kind == "window"
        and core.fleet.trackers[backend].cold_start_began(now, cost.cold_start_seconds)
    )
