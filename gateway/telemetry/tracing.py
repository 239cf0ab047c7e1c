"""The event loop's part of tracing: ids, the trace context for backends, and a struct for the exporting thread.

Spans are made from it later, in that thread (`gateway.telemetry.spans`): here nothing of OpenTelemetry is touched."""

from __future__ import annotations

import random

import msgspec

from gateway.metering.records import Attempt
from gateway.routing.decision import Decision
from gateway.telemetry.outbox import Outbox
from gateway.telemetry.request_end import RequestEnd
from gateway.telemetry.trace_context import TraceContext, parse_trace_context

MOST_WAITING = 2048
"""Traces that wait for the collector."""


class AttemptSpan(msgspec.Struct, frozen=True):
    """One attempt: its span id, why it went where it went, and its record."""

    span_id: str
    reason: str
    attempt: Attempt


class OperationTrace:
    """One request's place in its trace, and its attempts."""

    __slots__ = ("attempts", "context", "parent_span_id")

    def __init__(self, context: TraceContext, parent_span_id: str | None) -> None:
        self.context = context
        self.parent_span_id = parent_span_id
        self.attempts: list[AttemptSpan] = []

    def child(self) -> TraceContext:
        """The place of one attempt: its `headers` go to the backend."""
        at = self.context
        return TraceContext(at.trace_id, _span_id(), at.sampled, at.state)

    def attempted(self, place: TraceContext, reason: str, attempt: Attempt) -> None:
        if place.sampled:
            self.attempts.append(AttemptSpan(place.span_id, reason, attempt))


class EndedTrace(msgspec.Struct, frozen=True):
    """A sampled request that has ended."""

    trace: OperationTrace
    end: RequestEnd
    decision: Decision | None


class Tracing:
    """Begins and ends operations; what is sampled waits in `ended` for the exporting thread."""

    def __init__(self, sample_ratio: float) -> None:
        self.ended: Outbox[EndedTrace] = Outbox(MOST_WAITING)
        self._bound = round(sample_ratio * 2**64)  # as OpenTelemetry's own TraceIdRatioBased reads a ratio

    def begin(self, traceparent: str | None, tracestate: str | None) -> OperationTrace:
        """Continues the caller's trace, sampled as the caller says; or begins one, sampled by the policy's ratio."""
        parent = parse_trace_context(traceparent, tracestate)
        if parent is not None:
            return OperationTrace(
                TraceContext(parent.trace_id, _span_id(), parent.sampled, parent.state), parent.span_id
            )
        number = random.getrandbits(128) or 1
        sampled = (number & (2**64 - 1)) < self._bound
        return OperationTrace(TraceContext(f"{number:032x}", _span_id(), sampled), None)

    def end(self, trace: OperationTrace, end: RequestEnd, decision: Decision | None) -> None:
        if trace.context.sampled:
            self.ended.put(EndedTrace(trace, end, decision))


def _span_id() -> str:
    return f"{random.getrandbits(64) or 1:016x}"
