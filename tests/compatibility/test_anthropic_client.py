"""The official `anthropic` client through the gateway: /v1/messages of an OpenAI-compatible server that has it."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from tests.compatibility.shapes import TEXT, WORDS
from tests.gateway_process import API_KEY, GatewayProcess

ASKED: Any = {"model": "tuned", "max_tokens": 20, "messages": [{"role": "user", "content": "What colour is the sky?"}]}
SCHEMA: Any = {"type": "object", "properties": {"colour": {"type": "string"}}}
TOOL: Any = {"name": "paint", "input_schema": SCHEMA}


def test_a_whole_answer(claude: anthropic.Anthropic, peer: Any) -> None:
    answer = claude.messages.create(**ASKED, system="Be brief.")
    assert answer.content[0].type == "text"
    assert answer.content[0].text == TEXT
    assert answer.usage.output_tokens == 4
    assert peer.requests[-1].target == "/v1/messages"
    assert b"stream_options" not in peer.requests[-1].body
    assert "x-api-key" not in peer.requests[-1].headers


def test_a_stream(claude: anthropic.Anthropic) -> None:
    events = list(claude.messages.create(**ASKED, stream=True))
    assert [e.delta.text for e in events if e.type == "content_block_delta" and e.delta.type == "text_delta"] == WORDS
    assert events[-1].type == "message_stop"


def test_the_streaming_helper(claude: anthropic.Anthropic) -> None:
    with claude.messages.stream(**ASKED) as stream:
        assert list(stream.text_stream) == WORDS
        final = stream.get_final_message()
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 4)


async def test_the_async_client(gateway: GatewayProcess) -> None:
    async with anthropic.AsyncAnthropic(base_url=gateway.root, api_key=API_KEY, max_retries=0) as client:
        assert (await client.messages.create(**ASKED)).content[0].text == TEXT  # type: ignore[union-attr]
        async with client.messages.stream(**ASKED) as stream:
            assert await stream.get_final_text() == TEXT


def test_tools(claude: anthropic.Anthropic) -> None:
    answer = claude.messages.create(**ASKED, tools=[TOOL])
    with claude.messages.stream(**ASKED, tools=[TOOL]) as stream:
        streamed = stream.get_final_message()
    for message in (answer, streamed):
        assert message.stop_reason == "tool_use"
        assert message.content[0].input == {"colour": "red"}  # type: ignore[union-attr]


def test_counting_tokens(claude: anthropic.Anthropic, peer: Any) -> None:
    counted = claude.messages.count_tokens(model="tuned", messages=ASKED["messages"])
    assert counted.input_tokens == 11
    assert peer.requests[-1].target == "/v1/messages/count_tokens"


def test_a_bearer_token_is_as_good_as_an_api_key(gateway: GatewayProcess) -> None:
    client = anthropic.Anthropic(base_url=gateway.root, auth_token=API_KEY, api_key=None, max_retries=0)
    assert client.messages.create(**ASKED).content
    with pytest.raises(anthropic.AuthenticationError):
        client.messages.create(**ASKED, extra_headers={"x-api-key": "another"})


def test_errors_are_the_clients_own_classes_and_anthropics_words(gateway: GatewayProcess, claude: Any) -> None:
    wrong = anthropic.Anthropic(base_url=gateway.root, api_key="wrong", max_retries=0)
    cases: list[tuple[Any, dict[str, Any], type[anthropic.APIStatusError], str]] = [
        (wrong, {}, anthropic.AuthenticationError, "authentication_error"),
        (claude, {"model": "nobody"}, anthropic.NotFoundError, "not_found_error"),
        (claude, {"max_tokens": 0}, anthropic.BadRequestError, "invalid_request_error"),
    ]
    for client, change, kind, name in cases:
        with pytest.raises(kind) as refused:
            client.messages.create(**{**ASKED, **change})
        body: Any = refused.value.body
        assert (body["type"], body["error"]["type"]) == ("error", name)


@pytest.mark.parametrize(("model", "why"), [("breaks", "could not be reached"), ("fails", "the engine died")])
def test_a_stream_that_breaks_raises(claude: anthropic.Anthropic, model: str, why: str) -> None:
    with claude.messages.stream(**{**ASKED, "model": model}) as s, pytest.raises(anthropic.APIStatusError, match=why):
        s.until_done()


def test_what_is_not_served_is_said_in_anthropics_shape(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as refused:
        claude.messages.batches.list()
    body: Any = refused.value.body
    assert body["error"]["type"] == "not_found_error"
