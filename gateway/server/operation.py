"""One request, start to end: bytes in, facts, decision, attempts, bytes out, usage, money. The hot path, pure ASGI."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from math import inf

from gateway.backends.contract import Reply, UpstreamRequest
from gateway.backends.errors import UpstreamError
from gateway.backends.usage import MISSING, Usage
from gateway.metering.records import Attempt, OperationRecord, Outcome
from gateway.routing.decision import Candidate, Decision
from gateway.routing.facts import Operation, RequestFacts
from gateway.server.core import Core
from gateway.server.decisions import Kept
from gateway.server.errors import ApiError, error_event, internal_error, shutting_down
from gateway.server.request import (
    ClientGone,
    Headers,
    ParsedBody,
    Receive,
    Scope,
    Send,
    facts_of,
    parse_body,
    prompt_bytes,
    read_body,
    read_headers,
)
from gateway.server.verdict import in_time, outcome_of

log = logging.getLogger(__name__)

CLIENT_CLOSED = 499
"""The status booked when the client went before the end. Never sent: nobody is there."""
PATIENCE_FACTOR = 4.0
LONGEST_RETRY_AFTER_SECONDS = 3600.0
LEAST_PATIENCE_SECONDS = 30.0
"""While another backend is left to try, a first byte is waited for this long, or PATIENCE_FACTOR times its prediction,
or as long as the ceiling allows: whichever is longest."""


class Endpoint:
    """The ASGI application of one `/v1` generation path."""

    def __init__(self, core: Core, operation: Operation) -> None:
        self._core = core
        self._operation = operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await OperationRun(self._core, self._operation, scope, receive, send).run()


class OperationRun:
    """What happens to one request. Books what it did, however it ends."""

    def __init__(self, core: Core, operation: Operation, scope: Scope, receive: Receive, send: Send) -> None:
        self._arrived = core.clock()
        self._core = core
        self._operation: Operation = operation
        self._scope = scope
        self._receive = receive
        self._send = send
        self._id = f"{int(time.time() * 1000):011x}{secrets.token_hex(6)}"
        self._headers = Headers()
        self._key = ""
        self._parsed: ParsedBody | None = None
        self._facts: RequestFacts | None = None
        self._decision: Decision | None = None
        self._prompt_bytes = 0
        self._reason = "none"
        self._answering = False
        """Headers have gone out: from here on no other backend can be tried."""
        self._attempts = 0
        self._backend: str | None = None
        self._candidate: Candidate | None = None
        self._usage = MISSING
        self._ttft: float | None = None
        self._outcome: Outcome = "refused"
        self._status = 0

    async def run(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        watcher: asyncio.Task[None] | None = None
        try:
            body = await self._read()
            watcher = asyncio.create_task(self._cancel_when_gone(task))
            await self._serve(body)
        except ApiError as error:
            await self._refuse(error)
        except ClientGone:
            self._outcome, self._status = "cancelled", CLIENT_CLOSED
        except asyncio.CancelledError:
            self._outcome, self._status = "cancelled", CLIENT_CLOSED
            if watcher is None or not watcher.done():
                await self._say_that_the_server_stops()
                raise
            task.uncancel()
        except Exception:
            log.exception("request %s failed inside the gateway", self._id)
            await self._apologize()
        finally:
            if watcher is not None:
                watcher.cancel()
            self._book()

    async def _cancel_when_gone(self, task: asyncio.Task[None]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        task.cancel()

    async def _say_that_the_server_stops(self) -> None:
        if self._answering and self._streaming:
            await self._end_with_error(shutting_down())

    async def _apologize(self) -> None:
        """A mistake of the gateway's own: said in OpenAI's shape, with an id that its log has too."""
        failure = internal_error(self._id)
        if not self._answering:
            self._outcome = "refused"
            await self._refuse(ApiError.upstream(failure))
        elif self._streaming:
            self._outcome = "upstream_error"
            await self._end_with_error(failure)

    @property
    def _streaming(self) -> bool:
        return self._parsed is not None and self._parsed.stream

    # -- the request -----------------------------------------------------------------------------------------------

    async def _read(self) -> bytes:
        self._headers = read_headers(self._scope["headers"])
        caller = self._core.doors.data(self._headers.authorization)
        if caller is None:
            raise ApiError(
                401, "Incorrect API key provided, or none. Send it as `Authorization: Bearer KEY`.",
                type="authentication_error", code="invalid_api_key",
            )  # fmt: skip
        self._key = caller.name
        if self._headers.backend is not None and not caller.may_pin:
            raise ApiError(
                403, f"The key '{caller.name}' may not choose the backend (may_pin is not set for it in the policy).",
                type="permission_error", code="pin_not_allowed", param="x-crossover-backend",
            )  # fmt: skip
        if self._core.draining:
            raise ApiError.upstream(shutting_down())
        return await read_body(self._receive, self._headers, self._core.policy.server)

    async def _serve(self, body: bytes) -> None:
        core = self._core
        parsed = self._parsed = parse_body(body)
        alias = core.policy.aliases.get(parsed.model)
        if alias is None:
            raise ApiError(
                404, f"The model '{parsed.model[:80]}' does not exist. See GET /v1/models.",
                code="model_not_found", param="model",
            )  # fmt: skip
        most = alias.max_output_tokens
        if most is not None and (parsed.max_output_tokens or 0) > most:
            raise ApiError(
                400, f"max_tokens is {parsed.max_output_tokens}; the model '{parsed.model}' allows {most}.",
                code="invalid_value", param="max_tokens",
            )  # fmt: skip
        size = self._prompt_bytes = prompt_bytes(parsed.fields)
        tokens = core.fleet.estimate_prompt_tokens(parsed.model, size)
        facts = self._facts = facts_of(parsed, self._operation, alias, self._headers, tokens)
        classes = core.router.aliases[parsed.model].qualities
        if facts.quality is not None and facts.quality not in classes:
            raise ApiError(
                400, f"x-crossover-quality is '{facts.quality}'; the model '{parsed.model}' has {', '.join(classes)}.",
                code="invalid_header", param="x-crossover-quality",
            )  # fmt: skip
        now = core.clock()
        fleet = core.fleet.snapshot(now)
        decision = self._decision = core.router.decide(facts, fleet)
        self._reason = decision.reason
        core.decisions.keep(Kept(self._id, time.time(), facts, fleet, decision))
        if decision.refusal is not None:
            raise ApiError.refused(decision.refusal)
        core.series.overhead(core.clock() - self._arrived)
        await self._try_in_order(body, decision.order[: core.policy.routing.max_attempts])

    # -- attempts --------------------------------------------------------------------------------------------------

    async def _try_in_order(self, body: bytes, order: Sequence[Candidate]) -> None:
        failure: UpstreamError | None = None
        core = self._core
        for position, candidate in enumerate(order):
            if position:
                if not core.fleet.trackers[candidate.backend].askable(core.clock()):
                    continue  # it has fallen ill since the decision
                self._reason = "fallback"
            try:
                await self._attempt(body, candidate, last=position == len(order) - 1)
                return
            except UpstreamError as error:
                if self._answering:
                    await self._end_with_error(error)
                    return
                failure = error
                if not error.may_try_another:
                    break
        assert failure is not None
        self._outcome = outcome_of(failure)
        raise ApiError.upstream(failure)

    async def _attempt(self, body: bytes, candidate: Candidate, *, last: bool) -> None:
        """One request to one backend, booked in any case. Raises `UpstreamError`."""
        core, facts, parsed = self._core, self._facts, self._parsed
        assert facts is not None
        assert parsed is not None
        name = candidate.backend
        tracker = core.fleet.trackers[name]
        self._attempts += 1
        self._backend = name
        self._candidate = candidate
        started = core.clock()
        if candidate.predicted is not None:
            self._expect_cold_start(candidate, started)
        core.series.decision(name, self._reason)
        request = UpstreamRequest(
            operation=self._operation,
            target=candidate.target,
            alias=facts.alias,
            body=body,
            fields=parsed.fields,
            stream=parsed.stream,
            include_usage=parsed.include_usage,
            first_byte_deadline=self._deadline(candidate, started, last),
            request_id=self._id,
            cold_deadline=inf if last else self._ceiling_ends(),
            prompt_bytes=self._prompt_bytes,
        )
        reply: Reply | None = None
        copy: int | None = None
        ttft: float | None = None
        outcome: Outcome = "cancelled"
        status = CLIENT_CLOSED
        usage = MISSING
        with tracker.under_way(facts.input_tokens) as first_token:
            try:
                reply = await core.backends[name].send(request)
                answered = core.clock()
                first_token()
                if parsed.stream:
                    ttft, self._ttft = answered - started, answered - self._arrived
                tracker.answering()
                copy = core.meter.window_call_began(name, reply.admitted_at, answered)
                await self._relay(reply, candidate)
                outcome, status = "ok", 200
                tracker.succeeded()
            except UpstreamError as error:
                outcome, status = outcome_of(error), error.status
                tracker.failed(error.fault, error.message, core.clock(), error.retry_after_seconds)
                raise
            finally:
                now = core.clock()
                if reply is not None:
                    usage = reply.usage
                    await reply.aclose()
                elif request.wire.sent_at is not None:
                    # It was sent, and nobody said that it was refused: it may be billed, and opens a window.
                    usage = Usage(facts.input_tokens, 0, "estimated")
                    copy = core.meter.window_call_began(name, request.wire.sent_at, now)
                core.meter.window_call_ended(name, copy)
                record = Attempt(
                    self._id, self._attempts, name, candidate.target.model, core.meter.wall(started), outcome, status,
                    usage.input_tokens, usage.output_tokens, usage.certainty,
                    0 if usage is MISSING and reply is None else core.meter.price(name, usage), ttft, now - started,
                    candidate.target.generation,
                )  # fmt: skip
                core.meter.attempt_ended(facts.alias, record, usage)
                self._usage, self._outcome, self._status = usage, outcome, status
                if reply is not None:
                    self._learn(candidate, usage, ttft, now - started, outcome)

    async def _relay(self, reply: Reply, candidate: Candidate) -> None:
        """The upstream's bytes to the client as they come."""
        streaming = self._streaming
        chunks = aiter(reply)
        first = await anext(chunks)
        headers = self._response_headers(reply.content_type, candidate)
        if not streaming:
            headers.append((b"content-length", str(len(first)).encode()))
        self._answering = True
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": first, "more_body": streaming})
        if not streaming:
            return
        async for chunk in chunks:
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _deadline(self, candidate: Candidate, now: float, last: bool) -> float:
        """Until when a first byte is waited for (and, within it, a cold start)."""
        assert self._facts is not None
        if last:
            return now + self._core.settings[candidate.backend].timeouts.first_byte_seconds
        expected = 0.0 if candidate.predicted is None else candidate.predicted.ttft_seconds
        ceiling = self._facts.ceiling.ttft_seconds or 0.0
        return max(self._arrived + ceiling, now + max(LEAST_PATIENCE_SECONDS, PATIENCE_FACTOR * expected))

    def _ceiling_ends(self) -> float:
        """When the first token would be late: so long a cold start is waited for while another backend is left."""
        assert self._facts is not None
        ceiling = self._facts.ceiling
        return self._arrived + min(ceiling.ttft_seconds or inf, ceiling.latency_seconds or inf)

    def _expect_cold_start(self, candidate: Candidate, now: float) -> None:
        window = self._core.meter.window_view(candidate.backend, now)
        if window is not None and window.copies == 0:
            cost = self._core.settings[candidate.backend].cost
            assert cost is not None
            assert cost.kind == "window"
            self._core.fleet.trackers[candidate.backend].cold_start_began(now, cost.cold_start_seconds)

    def _learn(self, candidate: Candidate, usage: Usage, ttft: float | None, seconds: float, outcome: Outcome) -> None:
        """What this attempt says about the next ones. Only streams tell when the first token came."""
        assert self._facts is not None
        assert self._parsed is not None
        core, name, alias = self._core, candidate.backend, self._facts.alias
        tracker = core.fleet.trackers[name]
        tracker.generated(usage.output_tokens, core.clock())
        if ttft is not None:
            per_token = (seconds - ttft) / (usage.output_tokens - 1) if usage.output_tokens > 1 else None
            core.series.latency(name, alias, ttft, per_token)
            if outcome == "ok" and candidate.predicted is not None:
                tracker.observed(candidate.predicted, ttft, per_token, core.clock())
        if outcome == "ok" and usage.certainty == "exact":
            core.fleet.answered(alias, self._prompt_bytes, usage.input_tokens, usage.output_tokens)

    # -- answers ---------------------------------------------------------------------------------------------------

    def _response_headers(self, content_type: str, candidate: Candidate | None) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"content-type", content_type.encode("latin-1")),
            (b"x-request-id", (self._headers.request_id or self._id).encode()),
        ]
        if self._decision is not None:
            headers.append((b"x-crossover-decision", self._id.encode()))
            headers.append((b"x-crossover-reason", self._reason.encode()))
        if candidate is not None:
            headers.append((b"x-crossover-backend", candidate.backend.encode()))
            if candidate.target.generation is not None:
                headers.append((b"x-crossover-adapter", candidate.target.generation.encode("latin-1", "replace")))
        if content_type.startswith("text/event-stream"):
            headers.append((b"cache-control", b"no-cache"))
            headers.append((b"x-accel-buffering", b"no"))
        return headers

    async def _refuse(self, error: ApiError) -> None:
        if self._outcome in ("refused", "cancelled"):
            self._outcome = "client_error" if error.status < 500 and error.status != 429 else "refused"
        self._status = error.status
        body = error.body()
        headers = self._response_headers("application/json", self._candidate)
        headers.append((b"content-length", str(len(body)).encode()))
        if error.retry_after_seconds is not None:
            seconds = min(LONGEST_RETRY_AFTER_SECONDS, max(1.0, error.retry_after_seconds))
            headers.append((b"retry-after", str(round(seconds)).encode()))
        if error.status in (408, 413):
            headers.append((b"connection", b"close"))  # the rest of the body is not read
        await self._send({"type": "http.response.start", "status": error.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def _end_with_error(self, error: UpstreamError) -> None:
        """The stream has begun: all that can be done is to say so and end it."""
        await self._send({"type": "http.response.body", "body": error_event(error), "more_body": False})

    # -- books -----------------------------------------------------------------------------------------------------

    def _book(self) -> None:
        core = self._core
        seconds = core.clock() - self._arrived
        if self._facts is None:
            known = self._parsed is not None and self._parsed.model in core.policy.aliases
            model = self._parsed.model if known and self._parsed is not None else "other"
            core.series.operation(None, model, self._outcome, seconds)
            return
        core.meter.operation_ended(
            OperationRecord(
                self._id, self._key, self._facts.alias, self._operation, self._facts.stream,
                core.meter.wall(self._arrived), self._outcome, self._status, self._backend, self._reason,
                self._attempts, self._usage.input_tokens, self._usage.output_tokens, self._usage.certainty,
                self._ttft, seconds, self._in_time(seconds),
            )
        )  # fmt: skip

    def _in_time(self, seconds: float) -> bool | None:
        assert self._facts is not None
        return in_time(self._facts.ceiling, self._ttft, seconds, self._usage) if self._outcome == "ok" else None
