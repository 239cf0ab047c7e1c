"""From bytes to facts: sizes, marks and demands."""

import msgspec
import pytest

from gateway.server.errors import ApiError
from gateway.server.request import demands, parse_body, prompt_bytes, read_headers


def fields(body: object) -> dict[str, msgspec.Raw]:
    return parse_body(msgspec.json.encode(body)).fields


def test_a_picture_does_not_count_by_its_bytes() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    content = [{"type": "text", "text": "What is this?"}, image]
    asked = fields({"model": "m", "messages": [{"role": "user", "content": content}]})
    assert prompt_bytes(asked) < 5000
    assert demands(asked, "chat") == {"messages.image_url"}


def test_a_prompt_that_only_talks_of_pictures_has_none() -> None:
    text = 'Write JSON with "image_url" and "tool_calls" in it.'
    asked = fields({"model": "m", "messages": [{"role": "user", "content": text}]})
    assert demands(asked, "chat") == frozenset()
    assert prompt_bytes(asked) > len(text)


@pytest.mark.parametrize("text", ["", "snake_case ", "x_" * 500])
@pytest.mark.parametrize(
    ("message", "mark"),
    [
        ({"role": "assistant", "tool_calls": [{"id": "1"}]}, "messages.tool_calls"),
        ({"role": "tool", "tool_call_id": "1", "content": "_"}, "messages.tool_calls"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "messages.input_audio"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages.image_url"),
        ({"role": "user", "content": "_call, _url and _audio"}, None),
    ],
)
def test_a_mark_is_found_among_few_underscores_and_among_many(text: str, message: object, mark: str | None) -> None:
    asked = fields({"model": "m", "messages": [{"role": "user", "content": text}, message], "max_tokens": 3})
    assert demands(asked, "chat") == ({mark} if mark else set())
    assert demands(asked, "completions") == frozenset()


def test_neutral_values_demand_nothing() -> None:
    body = {"model": "m", "messages": [], "n": 1, "logprobs": False, "tools": [], "stop": None, "user": "u", "seed": 3}
    assert demands(fields(body), "chat") == {"seed"}


@pytest.mark.parametrize("name", [b"x-crossover-backend", b"x-crossover-quality"])
@pytest.mark.parametrize("value", [b"", b"x" * 65, b"\xff"])
def test_a_header_that_is_no_name_is_refused(name: bytes, value: bytes) -> None:
    with pytest.raises(ApiError) as raised:
        read_headers([(name, value)])
    assert raised.value.param == name.decode()


def test_a_request_id_with_control_characters_is_not_echoed() -> None:
    assert read_headers([(b"x-request-id", b"a\x00b")]).request_id is None
    assert read_headers([(b"x-request-id", b"trace-1")]).request_id == "trace-1"
