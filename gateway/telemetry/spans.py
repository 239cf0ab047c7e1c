"""Ended requests as OpenTelemetry spans: one of kind SERVER for what an application asked, below it one of kind CLIENT
for each attempt at a backend. Names of `gateway.telemetry.names`; never a prompt, an answer or a key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from gateway.economics.money import usd
from gateway.metering.records import Attempt, Outcome
from gateway.routing.decision import Decision
from gateway.telemetry.names import (
    ERROR_TYPE,
    FIRST_TOKEN_EVENT,
    HTTP_STATUS,
    INPUT_TOKENS,
    OPERATION_NAME,
    OPERATION_NAMES,
    OUTPUT_TOKENS,
    PROVIDER_NAME,
    REQUEST_MODEL,
    REQUEST_STREAM,
    RESPONSE_MODEL,
    SERVER_ADDRESS,
    SERVER_PORT,
    TIME_TO_FIRST_CHUNK,
)
from gateway.telemetry.peer import Peer
from gateway.telemetry.request_end import RequestEnd
from gateway.telemetry.trace_context import TraceContext
from gateway.telemetry.tracing import AttemptSpan, EndedTrace

Attributes = dict[str, str | bool | int | float]


class SpanMaker:
    """For one thread: `spans` of requests that have ended, in the SDK's form, with the ids that backends were told."""

    def __init__(self, resource: Resource, scope: str, version: str, peers: Mapping[str, Peer]) -> None:
        self._peers = peers
        self._ids = _GivenIds()
        self._finished = _Finished()
        provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        provider.add_span_processor(self._finished)
        self._tracer = provider.get_tracer(scope, version)

    def spans(self, ended: Iterable[EndedTrace]) -> list[ReadableSpan]:
        for one in ended:
            self._operation(one)
            for attempt in one.trace.attempts:
                self._attempt(one, attempt)
        return self._finished.take()

    def _operation(self, ended: EndedTrace) -> None:
        context, end, record = ended.trace.context, ended.end, ended.end.record
        name = OPERATION_NAMES[record.operation]
        attributes: Attributes = {
            OPERATION_NAME: name, REQUEST_MODEL: record.alias, REQUEST_STREAM: record.stream,
            HTTP_STATUS: record.status, "crossover.request.id": record.id, "crossover.key.name": record.key,
            "crossover.alias": record.alias, "crossover.outcome": record.outcome, "crossover.reason": record.reason,
            "crossover.attempts": record.attempts, **_tokens(record.input_tokens, record.output_tokens, end),
        }  # fmt: skip
        _put(attributes, "crossover.backend", record.backend)
        _put(attributes, "crossover.verdict", record.verdict)
        _put(attributes, TIME_TO_FIRST_CHUNK, record.ttft_seconds)
        if record.held_seconds:
            attributes["crossover.held"] = record.held_seconds
        if end.attempts:
            _put(attributes, RESPONSE_MODEL, end.attempts[-1].model)
            _put(attributes, "crossover.adapter.generation", end.generation)
        if end.nanousd is not None:
            attributes["crossover.cost"] = usd(end.nanousd)
        peer = self._peers.get(record.backend or "")
        _put(attributes, "crossover.cost_kind", None if peer is None else peer.cost_kind)
        attributes |= _decided(ended.decision)
        failed = record.outcome != "ok" and record.status >= 500
        if record.outcome != "ok":
            attributes[ERROR_TYPE] = record.outcome
        self._span(
            f"{name} {record.alias}", SpanKind.SERVER, context, ended.trace.parent_span_id, True, attributes,
            record.started_at, record.seconds, failed,
        )  # fmt: skip

    def _attempt(self, ended: EndedTrace, tried: AttemptSpan) -> None:
        context, attempt = ended.trace.context, tried.attempt
        peer = self._peers[attempt.backend]
        name = OPERATION_NAMES[ended.end.record.operation]
        attributes: Attributes = {
            OPERATION_NAME: name, PROVIDER_NAME: peer.provider, REQUEST_MODEL: attempt.model,
            REQUEST_STREAM: ended.end.record.stream, SERVER_ADDRESS: peer.address, HTTP_STATUS: attempt.status,
            "crossover.backend": attempt.backend, "crossover.attempt.number": attempt.number,
            "crossover.reason": tried.reason, "crossover.outcome": attempt.outcome,
            "crossover.usage.certainty": attempt.certainty,
            **_tokens(attempt.input_tokens, attempt.output_tokens, attempt),
        }  # fmt: skip
        _put(attributes, SERVER_PORT, peer.port)
        _put(attributes, "crossover.cost_kind", peer.cost_kind)
        _put(attributes, "crossover.adapter.generation", attempt.generation)
        _put(attributes, TIME_TO_FIRST_CHUNK, attempt.ttft_seconds)
        if attempt.nanousd is not None:
            attributes["crossover.cost"] = usd(attempt.nanousd)
        if attempt.outcome != "ok":
            attributes[ERROR_TYPE] = attempt.outcome
        self._span(
            f"{name} {attempt.model}", SpanKind.CLIENT,
            TraceContext(context.trace_id, tried.span_id, True, context.state), context.span_id, False, attributes,
            attempt.started_at, attempt.seconds, _failed(attempt.outcome), attempt.ttft_seconds,
        )  # fmt: skip

    def _span(
        self, name: str, kind: SpanKind, place: TraceContext, parent_span_id: str | None, remote: bool,
        attributes: Attributes, started_at: float, seconds: float, failed: bool, first_token: float | None = None,
    ) -> None:  # fmt: skip
        trace_id = int(place.trace_id, 16)
        self._ids.give(trace_id, int(place.span_id, 16))
        parent = set_span_in_context(NonRecordingSpan(_context(trace_id, parent_span_id, remote, place.state)))
        start = _nanoseconds(started_at)
        span = self._tracer.start_span(name, parent, kind, attributes, start_time=start)
        if first_token is not None:
            span.add_event(FIRST_TOKEN_EVENT, timestamp=_nanoseconds(started_at + first_token))
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(_nanoseconds(started_at + seconds))


def _context(trace_id: int, span_id: str | None, remote: bool, state: str) -> SpanContext:
    """A span that is not of this list: the caller's, or the operation above an attempt. Invalid: there is none."""
    number = 0 if span_id is None else int(span_id, 16)
    kept = TraceState.from_header([state]) if state else None
    return SpanContext(trace_id if number else 0, number, remote, TraceFlags(TraceFlags.SAMPLED), kept)


def _decided(decision: Decision | None) -> Attributes:
    if decision is None:
        return {}
    attributes: Attributes = {
        "crossover.decision.candidates": len(decision.candidates),
        "crossover.decision.possible": len(decision.order),
    }
    chosen = decision.chosen
    if chosen is not None:
        attributes["crossover.decision.backend"] = chosen.backend
        attributes["crossover.decision.expected_cost"] = chosen.expected_nanousd / 1e9
        attributes["crossover.decision.late_chance"] = chosen.late_chance
        if chosen.marginal_nanousd is not None:
            attributes["crossover.decision.marginal_cost"] = usd(chosen.marginal_nanousd)
    if decision.refusal is not None:
        attributes["crossover.decision.refusal"] = decision.refusal.code
    return attributes


def _tokens(input_tokens: int, output_tokens: int, of: RequestEnd | Attempt) -> Attributes:
    """Nothing where nobody said: 0 tokens would be a claim."""
    certainty = of.record.certainty if isinstance(of, RequestEnd) else of.certainty
    return {} if certainty == "missing" else {INPUT_TOKENS: input_tokens, OUTPUT_TOKENS: output_tokens}


def _failed(outcome: Outcome) -> bool:
    return outcome in ("upstream_error", "timeout", "client_error", "refused")


def _put(attributes: Attributes, name: str, value: str | float | None) -> None:
    if value is not None:
        attributes[name] = value


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


class _GivenIds(IdGenerator):
    """The ids that were given out while the request ran."""

    def __init__(self) -> None:
        self._trace_id = self._span_id = 0

    def give(self, trace_id: int, span_id: int) -> None:
        self._trace_id, self._span_id = trace_id, span_id

    def generate_trace_id(self) -> int:
        return self._trace_id

    def generate_span_id(self) -> int:
        return self._span_id


class _Finished(SpanProcessor):
    """Keeps finished spans until they are taken."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.append(span)

    def take(self) -> list[ReadableSpan]:
        taken, self._spans = self._spans, []
        return taken
