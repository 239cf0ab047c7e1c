"""W3C trace context: who called, and as a part of which trace. https://www.w3.org/TR/trace-context/ (level 1)."""

from __future__ import annotations

import re

import msgspec

MAX_TRACEPARENT = 128
MAX_TRACESTATE = 1024
"""Longer ones are not passed on: no tool writes them, and a client must not fill our memory with them."""
_MEMBERS = 32

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_KEY = r"[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"
_MEMBER = re.compile(rf"(?:{_KEY})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e]", re.ASCII)


class TraceContext(msgspec.Struct, frozen=True):
    """One place in one trace. Ids in lower-case hex, as on the wire."""

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""
    """What other tools keep in `tracestate`; passed on as it came."""

    @property
    def headers(self) -> dict[str, str]:
        headers = {"traceparent": f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"}
        if self.state:
            headers["tracestate"] = self.state
        return headers


def parse_trace_context(traceparent: str | None, tracestate: str | None) -> TraceContext | None:
    """None: there is no valid `traceparent`, and a trace begins here. A `tracestate` that is not valid is left out."""
    found = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & 1), _valid_state(tracestate or ""))


def _valid_state(state: str) -> str:
    members = [member for part in state.split(",") if (member := part.strip(" \t"))]
    keys = {member.partition("=")[0] for member in members}
    if len(members) > _MEMBERS or len(keys) < len(members) or not all(_MEMBER.fullmatch(m) for m in members):
        return ""
    return ",".join(members)


def passed_through(traceparent: str | None, tracestate: str | None) -> dict[str, str]:
    """The caller's own headers for the backend, where the gateway takes no part in the trace."""
    headers: dict[str, str] = {}
    if traceparent:
        headers["traceparent"] = traceparent
        if tracestate:
            headers["tracestate"] = tracestate
    return headers
