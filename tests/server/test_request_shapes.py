"""What is read of a body of /v1/responses, /v1/messages and /v1/messages/count_tokens, and what is refused of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.routing.facts import Operation
from gateway.server.errors import ApiError
from gateway.server.request import ParsedBody, demands, first_of_prompt, parse_body, prompt_bytes

TEXT = "How many days of paid leave do I have?"
PICTURE = "A" * 200_000


def parsed(operation: Operation, **body: Any) -> ParsedBody:
    return parse_body(msgspec.json.encode({"model": "tuned", **body}), operation)


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("responses", {"input": TEXT, "instructions": TEXT}),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_text", "text": TEXT * 2}]}]}),
        ("messages", {"system": TEXT, "messages": [{"role": "user", "content": TEXT}]}),
        ("count_tokens", {"system": [{"type": "text", "text": TEXT}], "messages": [{"role": "user", "content": TEXT}]}),
    ],
)
def test_a_prompt_is_all_that_is_said_in_it(operation: Operation, body: dict[str, Any]) -> None:
    asked = parsed(operation, **body)
    assert 2 * len(TEXT) <= prompt_bytes(asked.fields, operation) < 2 * len(TEXT) + 120
    start = first_of_prompt(asked.fields, operation)
    assert start is not None
    assert TEXT.encode() in start


@pytest.mark.parametrize(
    ("operation", "part"),
    [
        ("responses", {"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}"}),
        ("responses", {"type": "input_file", "file_data": PICTURE}),
        ("messages", {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}}),
    ],
)
def test_a_picture_is_not_counted_by_its_bytes(operation: Operation, part: dict[str, Any]) -> None:
    turns = [{"role": "user", "content": [part]}]
    asked = parsed(operation, **{"input" if operation == "responses" else "messages": turns})
    assert prompt_bytes(asked.fields, operation) < 5000


@pytest.mark.parametrize(("operation", "field"), [("responses", "max_output_tokens"), ("messages", "max_tokens")])
def test_the_limit_of_an_answer_is_read_under_its_own_name(operation: Operation, field: str) -> None:
    assert parsed(operation, **{field: 9}).max_output_tokens == 9
    with pytest.raises(ApiError, match=f"'{field}' must be from 1") as refused:
        parsed(operation, **{field: 0})
    assert refused.value.param == field


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        ("responses", "/v1/responses"),
        ("messages", "/v1/messages"),
        ("count_tokens", "/v1/messages/count_tokens"),
    ],
)
def test_what_a_backend_needs_is_the_path_and_nothing_else(operation: Operation, path: str) -> None:
    asked = parsed(operation, tools=[{"type": "function"}], temperature=0.3, thinking={"type": "adaptive"})
    assert demands(asked.fields, operation) == {path}


@pytest.mark.parametrize("operation", ["embeddings", "count_tokens"])
def test_what_is_never_streamed_is_not_streamed(operation: Operation) -> None:
    assert not parsed(operation, stream=True).stream
    assert parsed("responses", stream=True).stream


@pytest.mark.parametrize(
    "asked", [{"previous_response_id": "resp_1"}, {"conversation": {"id": "c"}}, {"background": True}]
)
def test_what_needs_a_memory_of_answers_is_refused_by_name(asked: dict[str, Any]) -> None:
    (name,) = asked
    with pytest.raises(ApiError, match="the gateway keeps no answers") as refused:
        parsed("responses", input="x", **asked)
    assert (refused.value.status, refused.value.code, refused.value.param) == (400, "unsupported_parameter", name)


def test_asking_for_no_memory_and_leaving_storage_to_the_backend_pass() -> None:
    asked = parsed("responses", input="x", previous_response_id=None, background=False, store=True)
    assert bytes(asked.fields["store"]) == b"true"
