"""A failure in the words of the API that was called: OpenAI's everywhere but under /v1/messages, which is Anthropic's.

The status codes are the same. Each stream ends with an error event of its own grammar.
"""

from __future__ import annotations

import msgspec

from gateway.backends.errors import UpstreamError
from gateway.routing.facts import Operation
from gateway.server.errors import ApiError, error_event

ANTHROPIC: frozenset[Operation] = frozenset(("messages", "count_tokens"))
"""Operations of Anthropic's API."""

_TYPES = {
    401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large",
    429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip
_encode = msgspec.json.Encoder().encode


def anthropic_type(status: int) -> str:
    """Anthropic's name for an error of this status."""
    return _TYPES.get(status, "invalid_request_error" if 400 <= status < 500 else "api_error")


def anthropic_body(status: int, message: str) -> bytes:
    return _encode({"type": "error", "error": {"type": anthropic_type(status), "message": message}})


def answer_body(operation: Operation, error: ApiError) -> bytes:
    """The JSON body of a refusal."""
    return anthropic_body(error.status, error.message) if operation in ANTHROPIC else error.body()


def end_of_stream(operation: Operation, error: UpstreamError, events: int = 0) -> bytes:
    """The event that ends a stream which cannot go on. `events`: those that passed before it, where they are numbered.

    In a Responses stream the error stands there twice: at the top, where the reference has it, and as `error`, which
    OpenAI's own servers send and which its client needs in order to raise."""
    if operation in ANTHROPIC:
        return b"event: error\ndata: " + anthropic_body(error.status, error.message) + b"\n\n"
    if operation != "responses":
        return error_event(error)
    told = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    event = {**told, "type": "error", "code": error.code or error.type, "sequence_number": events, "error": told}
    return b"event: error\ndata: " + _encode(event) + b"\n\n"
