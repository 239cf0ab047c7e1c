"""Each API's clients get failures in its own words."""

from __future__ import annotations

import json

import pytest

from gateway.backends.errors import unreachable
from gateway.server.error_shapes import answer_body, end_of_stream
from gateway.server.errors import ApiError

BROKEN = unreachable("box", "it broke")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"), (401, "authentication_error"), (403, "permission_error"),
        (404, "not_found_error"), (408, "invalid_request_error"), (413, "request_too_large"),
        (429, "rate_limit_error"), (500, "api_error"), (502, "api_error"), (503, "overloaded_error"),
        (504, "timeout_error"),
    ],
)  # fmt: skip
def test_under_messages_an_error_has_anthropics_shape(status: int, kind: str) -> None:
    error = ApiError(status, "no", body=b'{"error":{"message":"the words of a backend, in another shape"}}')
    for operation in ("messages", "count_tokens"):
        assert json.loads(answer_body(operation, error)) == {"type": "error", "error": {"type": kind, "message": "no"}}


def test_elsewhere_it_has_openais_and_a_backends_own_words_pass() -> None:
    for operation in ("chat", "completions", "embeddings", "responses"):
        assert answer_body(operation, ApiError(400, "no", body=b'{"error":1}')) == b'{"error":1}'
        said = json.loads(answer_body(operation, ApiError(400, "no", code="c", param="p")))
        assert said == {"error": {"message": "no", "type": "invalid_request_error", "param": "p", "code": "c"}}


def test_a_broken_stream_ends_with_an_error_of_its_own_grammar() -> None:
    message = BROKEN.message
    chat = end_of_stream("chat", BROKEN)
    assert chat.startswith(b'data: {"error":{"message":')
    name, _, data = end_of_stream("messages", BROKEN).rstrip().partition(b"\ndata: ")
    assert name == b"event: error"
    assert json.loads(data) == {"type": "error", "error": {"type": "api_error", "message": message}}
    name, _, data = end_of_stream("responses", BROKEN, 7).rstrip().partition(b"\ndata: ")
    assert name == b"event: error"
    said = json.loads(data)
    assert (said["type"], said["code"], said["message"], said["param"], said["sequence_number"]) == (
        "error", "backend_unreachable", message, None, 7
    )  # fmt: skip
    assert said["error"]["message"] == message
