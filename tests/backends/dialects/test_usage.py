"""The usage of whole answers, in each operation's own words."""

from __future__ import annotations

import json

import msgspec
import pytest

from gateway.backends.contract import Operation
from gateway.backends.dialects import DIALECTS
from gateway.backends.usage import Usage


@pytest.mark.parametrize(
    ("operation", "body", "expected"),
    [
        ("chat", {"usage": {"prompt_tokens": 7, "completion_tokens": 0}}, Usage(7, 0, "exact")),
        ("chat", {"usage": {"prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": 5}}}, None),
        ("chat", {"usage": {"prompt_tokens": 7, "completion_tokens": None, "total_tokens": 9}}, Usage(7, 2, "exact")),
        ("chat", {"usage": {"prompt_tokens": 7, "completion_tokens": None}}, None),
        ("embeddings", {"usage": {"prompt_tokens": 7, "total_tokens": 7}}, Usage(7, 0, "exact")),
        ("chat", {"usage": {"input_tokens": 7, "output_tokens": 2}}, None),
        (
            "responses",
            {"usage": {"input_tokens": 7, "input_tokens_details": {"cached_tokens": 5}, "output_tokens": 2}},
            Usage(7, 2, "exact"),
        ),
        ("responses", {"usage": None}, None),
        ("messages", {"usage": {"input_tokens": 7, "output_tokens": 2}}, Usage(7, 2, "exact")),
        (
            "messages",
            {
                "usage": {
                    "input_tokens": 7,
                    "cache_read_input_tokens": 90,
                    "cache_creation_input_tokens": 3,
                    "output_tokens": 2,
                }
            },
            Usage(100, 2, "exact"),
        ),
        ("messages", {"usage": {"input_tokens": 7}}, None),
        ("messages", {}, None),
        ("count_tokens", {"input_tokens": 1234}, Usage(0, 0, "exact")),
    ],
)
def test_usage_is_read_off_a_whole_answer(operation: Operation, body: object, expected: Usage | None) -> None:
    assert DIALECTS[operation].usage_of_body(json.dumps(body).encode()) == expected


@pytest.mark.parametrize("operation", DIALECTS)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"\xff"])
def test_what_is_no_json_object_is_said_so(operation: Operation, body: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        DIALECTS[operation].usage_of_body(body)


def test_usage_is_asked_for_only_where_a_stream_would_not_tell_it() -> None:
    assert {name for name, dialect in DIALECTS.items() if dialect.asks_for_usage} == {"chat", "completions"}
    assert {name for name, dialect in DIALECTS.items() if dialect.relay is None} == {"embeddings", "count_tokens"}
