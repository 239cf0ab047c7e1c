"""One request, start to end: bytes in, facts, decision, attempts, bytes out, usage, money. The hot path."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from msgspec import structs

from gateway.backends.contract import Reply, UpstreamRequest
from gateway.backends.errors import Fault, UpstreamError
from gateway.backends.usage import MISSING
from gateway.metering.records import Attempt, OperationRecord, Outcome, Verdict
from gateway.policy.schema import ServedBy
from gateway.routing.decision import Candidate, Decision, Reason
from gateway.routing.facts import Operation, RequestFacts
from gateway.routing.refusal import LATENCY_CEILING
from gateway.server.answer_headers import response_headers
from gateway.server.attempt import CLIENT_CLOSED, AttemptRun
from gateway.server.core import Core
from gateway.server.deadlines import Allowed, deadlines_of
from gateway.server.decisions import Kept
from gateway.server.error_shapes import answer_body, end_of_stream
from gateway.server.errors import ApiError, internal_error, nobody_now, shutting_down
from gateway.server.http1 import ClientGone, Exchange
from gateway.server.ids import new_id
from gateway.server.intake import facts_for
from gateway.server.request import (
    Headers,
    ParsedBody,
    allowed_by,
    first_of_prompt,
    parse_body,
    read_body,
    read_headers,
)
from gateway.server.verdict import in_time, is_wrong, left_late, outcome_of, verdict_of
from gateway.server.warmup import Warmups
from gateway.telemetry.request_end import RequestEnd
from gateway.telemetry.trace_context import passed_through
from gateway.telemetry.tracing import OperationTrace

log = logging.getLogger(__name__)

LONGEST_RETRY_AFTER_SECONDS = 3600.0


class Endpoint:
    """One `/v1` generation path."""

    def __init__(self, core: Core, operation: Operation, warmups: Warmups) -> None:
        self._core = core
        self._operation = operation
        self._warmups = warmups

    def __call__(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        return OperationRun(self._core, self._operation, self._warmups, exchange).run()


class OperationRun:
    """What happens to one request. Books what it did, however it ends."""

    # What is known of it, from nothing on.
    _headers = Headers()
    _key = ""
    _parsed: ParsedBody | None = None
    _facts: RequestFacts | None = None
    _prompt_bytes = 0
    _reason: Reason = "none"
    _held_seconds = 0.0
    _wrong = False
    """It was last sent where answers are below the quality it needs."""
    _turned_away = False
    """Refused, because nobody is predicted to be in time."""
    _answering = False
    """Headers have gone out: from here on no other backend can be tried."""
    _attempts = 0
    _backend: str | None = None
    _target: ServedBy | None = None
    _kept: Kept | None = None
    _usage = MISSING
    _ttft: float | None = None
    _outcome: Outcome = "refused"
    _status = 0
    _trace: OperationTrace | None = None
    """None: traces are off, or it was refused at the door."""

    def __init__(self, core: Core, operation: Operation, warmups: Warmups, exchange: Exchange) -> None:
        self._arrived = core.clock()
        self._core = core
        self._warmups = warmups
        self._operation: Operation = operation
        self._exchange = exchange
        self._id = new_id()
        self._allowed = Allowed(self._arrived)
        self._sent: list[Attempt] = []

    async def run(self) -> None:
        try:
            await self._serve(await self._read())
        except ApiError as error:
            self._refuse(error)
        except ClientGone:
            self._outcome, self._status = "cancelled", CLIENT_CLOSED
        except asyncio.CancelledError:
            self._outcome, self._status = "cancelled", CLIENT_CLOSED
            if not self._exchange.gone:
                self._say_that_the_server_stops()
                raise
        except Exception:
            log.exception("request %s failed inside the gateway", self._id)
            self._apologize()
        finally:
            self._book()

    def _say_that_the_server_stops(self) -> None:
        if not self._answering:
            outcome = self._outcome
            self._refuse(ApiError.upstream(shutting_down()))
            self._outcome = outcome  # what it did until then is what a cancelled one does
        elif self._streaming:
            self._end_with_error(shutting_down())

    def _apologize(self) -> None:
        """A mistake of the gateway's own: said in OpenAI's shape, with an id that its log has too."""
        failure = internal_error(self._id)
        if not self._answering:
            self._outcome = "refused"
            self._refuse(ApiError.upstream(failure))
        elif self._streaming:
            self._outcome = "upstream_error"
            self._end_with_error(failure)

    @property
    def _streaming(self) -> bool:
        return self._parsed is not None and self._parsed.stream

    # -- the request -----------------------------------------------------------------------------------------------

    async def _read(self) -> bytes:
        self._headers = read_headers(self._exchange.headers)
        caller = self._core.doors.data(self._headers.authorization, self._headers.api_key)
        if caller is None:
            raise ApiError(
                401, "Incorrect API key provided, or none. Send it as `Authorization: Bearer KEY`.",
                type="authentication_error", code="invalid_api_key",
            )  # fmt: skip
        self._key = caller.name
        if self._core.tracing is not None:
            self._trace = self._core.tracing.begin(self._headers.traceparent, self._headers.tracestate)
        if self._headers.backend is not None and not caller.may_pin:
            raise ApiError(
                403, f"The key '{caller.name}' may not choose the backend (may_pin is not set for it in the policy).",
                type="permission_error", code="pin_not_allowed", param="x-crossover-backend",
            )  # fmt: skip
        if self._core.draining:
            raise ApiError.upstream(shutting_down())
        return await read_body(self._exchange, self._core.policy.server.body_timeout_seconds)

    async def _serve(self, body: bytes) -> None:
        core = self._core
        parsed = self._parsed = parse_body(body, self._operation)
        self._allowed = allowed_by(self._headers, self._arrived, parsed.stream)
        facts, self._prompt_bytes = facts_for(core, parsed, self._operation, self._headers, self._key)
        decision = await self._decided(facts)
        if decision.refusal is not None:
            self._turned_away = decision.refusal.code == LATENCY_CEILING
            raise ApiError.refused(decision.refusal)
        if not decision.order:
            raise ApiError.upstream(nobody_now())
        core.series.overhead(core.clock() - self._arrived - self._held_seconds)
        await self._try_in_order(body, parsed, decision.order[: core.policy.routing.max_attempts])

    async def _decided(self, facts: RequestFacts) -> Decision:
        """Asks the router, waits as long as it says, and asks again: until it names a backend, or nobody."""
        core = self._core
        while True:
            if not core.holds.possible:
                facts = structs.replace(facts, may_hold=False)
            self._facts = facts
            now = core.clock()
            fleet = core.fleet.snapshot(now)
            decision = core.router.decide(facts, fleet)
            self._reason = decision.reason
            core.router.note(facts, decision, now)
            self._kept = Kept(self._id, time.time(), facts, fleet, decision)
            core.decisions.keep(self._kept)
            if decision.warm is not None:
                self._warmups.start(decision.warm, facts.alias)
            if decision.hold_seconds is None or not facts.may_hold:
                return decision
            try:
                await core.holds.wait(min(decision.hold_seconds, max(0.0, self._allowed.first_byte - now)))
            finally:
                self._held_seconds += core.clock() - now
            self._in_time()
            facts = structs.replace(facts, asked_before=True, elapsed_seconds=core.clock() - self._arrived)

    # -- attempts --------------------------------------------------------------------------------------------------

    async def _try_in_order(self, body: bytes, parsed: ParsedBody, order: Sequence[Candidate]) -> None:
        failure: UpstreamError | None = None
        core = self._core
        assert self._facts is not None
        for position, candidate in enumerate(order):
            self._in_time()
            self._wrong = is_wrong(self._facts, core.policy.aliases[parsed.model], candidate.target)
            if position:
                if not core.fleet.trackers[candidate.backend].askable(core.clock()):
                    continue  # it has fallen ill since the decision
                self._reason = "lower_quality_though_wrong" if self._wrong else "fallback"
            try:
                await self._attempt(body, parsed, candidate, last=position == len(order) - 1)
                return
            except UpstreamError as error:
                failure = error.with_traceback(None)  # which holds this frame, and all that came, in a circle
                if self._answering:
                    self._end_with_error(error)
                    return
                if not error.may_try_another:
                    break
        assert failure is not None
        self._outcome = outcome_of(failure)
        raise ApiError.upstream(failure)

    async def _attempt(self, body: bytes, parsed: ParsedBody, candidate: Candidate, *, last: bool) -> None:
        """Raises `UpstreamError`."""
        slot = self._core.deployments.slots.get((parsed.model, candidate.backend))
        if slot is None:
            await self._send_to(candidate.target, body, parsed, candidate, last)
            return
        lane = slot.next()
        try:
            with lane as target:
                await self._send_to(target, body, parsed, candidate, last)
        except UpstreamError as error:
            if error.fault is not Fault.MODEL or lane is slot.live:
                raise
            with slot.live as target:  # a canary that is not loaded costs nobody an answer
                await self._send_to(target, body, parsed, candidate, last)

    async def _send_to(
        self, target: ServedBy, body: bytes, parsed: ParsedBody, candidate: Candidate, last: bool
    ) -> None:
        core, facts, kept = self._core, self._facts, self._kept
        assert facts is not None and kept is not None  # noqa: PT018
        kept.sent.append(target)
        self._attempts += 1
        self._backend = candidate.backend
        self._target = target
        core.series.decision(candidate.backend, self._reason)
        place = None if self._trace is None else self._trace.child()
        timeouts = core.settings[candidate.backend].timeouts
        expected = 0.0 if candidate.predicted is None else candidate.predicted.ttft_seconds
        deadlines = deadlines_of(self._allowed, timeouts, facts.ceiling, expected, core.clock(), last=last)
        request = UpstreamRequest(
            operation=self._operation,
            target=target,
            alias=facts.alias,
            body=body,
            fields=parsed.fields,
            stream=parsed.stream,
            include_usage=parsed.include_usage,
            first_byte_deadline=deadlines.first_byte,
            request_id=self._id,
            cold_deadline=deadlines.cold,
            prompt_bytes=self._prompt_bytes,
            total_deadline=deadlines.end,
            trace_headers=(
                passed_through(self._headers.traceparent, self._headers.tracestate) if place is None else place.headers
            ),
        )
        attempt = AttemptRun(
            core, self._id, self._attempts, candidate.backend, request, facts.input_tokens,
            predicted=candidate.predicted, facts=facts, caller=self._key, allowed=self._allowed,
        )  # fmt: skip
        try:
            await attempt.run(self._relay)
        finally:
            self._usage, self._outcome, self._status = attempt.usage, attempt.outcome, attempt.status
            if attempt.record is not None:
                self._sent.append(attempt.record)
                if self._trace is not None and place is not None:
                    self._trace.attempted(place, self._reason, attempt.record)
            if parsed.stream and attempt.answered_at is not None:
                self._ttft = attempt.answered_at - self._arrived

    async def _relay(self, reply: Reply) -> None:
        """The upstream's bytes to the client as they come."""
        exchange, headers = self._exchange, self._response_headers(reply.content_type)
        self._answering = True
        if not self._streaming:
            exchange.respond(200, headers, reply.first)
            return
        exchange.begin(200, headers)
        exchange.write(reply.first)
        await reply.relay(exchange)
        exchange.end()

    def _in_time(self) -> None:
        """Raises `ApiError` once the request's own time is over."""
        late = self._allowed.exceeded(self._core.clock())
        if late is not None:
            self._outcome = "timeout"
            raise ApiError.upstream(late)

    # -- answers ---------------------------------------------------------------------------------------------------

    def _response_headers(self, content_type: str) -> list[tuple[bytes, bytes]]:
        return response_headers(
            content_type, self._headers.request_id or self._id,
            None if self._kept is None else (self._id, self._reason), self._target,
        )  # fmt: skip

    def _refuse(self, error: ApiError) -> None:
        if self._outcome in ("refused", "cancelled"):
            self._outcome = "client_error" if error.status < 500 and error.status != 429 else "refused"
        self._status = error.status
        headers = self._response_headers("application/json")
        if error.retry_after_seconds is not None:
            seconds = min(LONGEST_RETRY_AFTER_SECONDS, max(1.0, error.retry_after_seconds))
            headers.append((b"retry-after", str(round(seconds)).encode()))
        self._exchange.respond(error.status, headers, answer_body(self._operation, error))

    def _end_with_error(self, error: UpstreamError) -> None:
        """The stream has begun: all that can be done is to say so and end it."""
        self._exchange.write(end_of_stream(self._operation, error, error.events_before))
        self._exchange.end()

    # -- books -----------------------------------------------------------------------------------------------------

    def _book(self) -> None:
        core = self._core
        now = core.clock()
        seconds = now - self._arrived
        if self._facts is None:
            known = self._parsed is not None and self._parsed.model in core.policy.aliases
            model = self._parsed.model if known and self._parsed is not None else "other"
            core.series.operation(None, model, self._outcome, seconds)
            self._tell(self._record(model, seconds, None, None))
            return
        kept = in_time(self._facts.ceiling, self._ttft, seconds, self._usage) if self._outcome == "ok" else None
        verdict = verdict_of(
            self._outcome, kept, wrong=self._wrong, turned_away=self._turned_away,
            left_late=left_late(self._facts.ceiling, self._ttft, seconds, self._facts.stream),
        )  # fmt: skip
        record = self._record(self._facts.alias, seconds, kept, verdict)
        core.meter.operation_ended(record)
        if self._held_seconds:
            core.series.hold(self._held_seconds)
        if verdict is not None:
            core.router.ended(self._facts, verdict != "in_time", now)
        self._tell(record)

    def _record(self, alias: str, seconds: float, kept: bool | None, verdict: Verdict | None) -> OperationRecord:
        return OperationRecord(
            self._id, self._key, alias, self._operation, self._streaming, self._core.meter.wall(self._arrived),
            self._outcome, self._status, self._backend, self._reason, self._attempts, self._usage.input_tokens,
            self._usage.output_tokens, self._usage.certainty, self._ttft, seconds, kept, self._held_seconds, verdict,
        )  # fmt: skip

    def _tell(self, record: OperationRecord) -> None:
        """The log and the traces: to threads of their own."""
        log, tracing = self._core.request_log, self._core.tracing
        if log is None and tracing is None:
            return
        trace = self._trace
        prompt = (
            first_of_prompt(self._parsed.fields, self._operation)
            if self._parsed and log is not None and log.prompts
            else None
        )
        end = RequestEnd(record, tuple(self._sent), None if trace is None else trace.context.trace_id, prompt)
        if log is not None:
            log.put(end)
        if tracing is not None and trace is not None:
            tracing.end(trace, end, None if self._kept is None else self._kept.decision)
