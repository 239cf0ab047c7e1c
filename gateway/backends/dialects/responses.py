"""OpenAI's Responses API (`POST /v1/responses`): usage objects and stream events.

A stream ends with `response.completed`, `response.incomplete` (cut at max_output_tokens; vLLM says completed there too)
or `response.failed`, each with the whole response in it, usage and all. `input_tokens` counts cached tokens too.
"""

from __future__ import annotations

import msgspec

from gateway.backends.dialects.named_events import NamedEventRelay
from gateway.backends.sse import Count
from gateway.backends.usage import Usage


class _Counts(msgspec.Struct):
    input_tokens: Count
    output_tokens: Count = 0


class _Response(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


class _Event(msgspec.Struct):
    response: _Response = msgspec.field(default_factory=_Response)


_decode_response = msgspec.json.Decoder(_Response).decode
_decode_counts = msgspec.json.Decoder(_Counts).decode
_decode_event = msgspec.json.Decoder(_Event).decode


def responses_usage(body: bytes) -> Usage | None:
    return _usage_of(_decode_response(body).usage)


class ResponsesRelay(NamedEventRelay):
    """`response.failed` is a failure of the backend's, whatever else it holds: the server words it."""

    CONTENT = b".delta"
    WORTH_A_LOOK = (
        b"event: response.completed", b"event: response.incomplete", b"event: response.failed", b"event: error",
        b'data: {"error"',
    )  # fmt: skip
    __slots__ = ()

    def look(self, name: str, payload: bytes) -> bool:
        if name.endswith(".delta"):
            self.content_events += 1
        elif name in ("response.completed", "response.incomplete", "response.failed"):
            self.done = name != "response.failed"
            try:
                response = _decode_event(payload).response
            except (msgspec.DecodeError, UnicodeDecodeError):
                response = _Response()
            self.usage = _usage_of(response.usage)
            if not self.done:
                self.fail(bytes(response.error))
                return False
        return True


def _usage_of(told: msgspec.Raw) -> Usage | None:
    try:
        counts = _decode_counts(told)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Usage(counts.input_tokens, counts.output_tokens, "exact")
