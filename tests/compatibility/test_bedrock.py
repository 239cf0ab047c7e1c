"""What /v1 carries to Bedrock: the official `openai` client in front of the sandbox, each kind of backend in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from gateway.sandbox.bedrock.server import serve_in_thread
from tests.end_to_end.fleets import cloud, cloud_aliases, sandbox_settings
from tests.gateway_process import API_KEY, GatewayProcess

EVERY = ["cmi-chat", "cmi-completion", "cmi-meta", "base-meta", "base-converse"]
PLAIN = [name for name in EVERY if name not in ("cmi-chat", "base-converse")]
ASKED: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What colour is the sky?"}]
SCHEMA: Any = {"type": "object", "properties": {"colour": {"type": "string"}}}
TOOLS: Any = [{"type": "function", "function": {"name": "paint", "parameters": SCHEMA}}]
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "c", "schema": SCHEMA}}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with serve_in_thread(sandbox_settings(cold_start_seconds=0)) as sandbox:
        policy = {"backends": cloud(sandbox.url), "aliases": cloud_aliases()}
        running = GatewayProcess(policy, tmp_path_factory.mktemp("bedrock"))
        yield running
        running.close()


@pytest.mark.parametrize("model", EVERY)
def test_a_chat_whole_and_streamed_with_and_without_usage(client: openai.OpenAI, model: str) -> None:
    asked: Any = {"model": model, "messages": ASKED, "max_tokens": 12, "temperature": 0}
    whole = client.chat.completions.create(**asked)
    assert whole.choices[0].message.content
    assert whole.model == model
    assert whole.usage is not None
    plain = list(client.chat.completions.create(**asked, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in plain)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in plain)
    told = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert told[-1].usage is not None
    assert told[-1].usage.completion_tokens > 0
    assert [chunk.choices[0].finish_reason for chunk in told[:-1]][-1] in ("stop", "length")


@pytest.mark.parametrize("model", EVERY)
def test_the_streaming_helper(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.stream(model=model, messages=ASKED, max_tokens=12) as stream:
        said = "".join(event.delta for event in stream if event.type == "content.delta")
        assert stream.current_completion_snapshot.choices[0].message.content == said
    assert said


@pytest.mark.parametrize("model", EVERY)
async def test_the_async_client(gateway: GatewayProcess, model: str) -> None:
    async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:
        asked: Any = {"model": model, "messages": ASKED, "max_tokens": 12}
        stream = await client.chat.completions.create(**asked, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


@pytest.mark.parametrize("model", PLAIN)
def test_completions_where_the_body_has_a_prompt(client: openai.OpenAI, model: str) -> None:
    answer = client.completions.create(model=model, prompt="Once upon a time", max_tokens=8)
    stream = client.completions.create(model=model, prompt="Once upon a time", max_tokens=8, stream=True)
    assert answer.choices[0].text
    assert "".join(chunk.choices[0].text for chunk in stream)


def sent(gateway: GatewayProcess) -> dict[str, int]:
    return {name: row["requests"] for name, row in gateway.books().items()}


def refused(call: Any, *arguments: Any, **asked: Any) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as error:
        call(*arguments, **asked)
    return error.value


@pytest.mark.parametrize(
    ("asked", "carried_by"),
    [
        ({"tools": TOOLS}, set()),
        ({"logprobs": True, "top_logprobs": 2}, {"cmi-chat"}),
        ({"stop": ["\n"]}, {"cmi-chat", "cmi-completion", "base-converse"}),
        ({"seed": 7}, {"cmi-chat", "cmi-completion"}),
        ({"frequency_penalty": 0.5}, {"cmi-chat", "cmi-completion"}),
        ({"top_p": 0.9}, set(EVERY)),
        ({"n": 2}, set()),
        ({"user": "u", "metadata": {"a": "b"}, "store": False}, set(EVERY)),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_field_is_carried_or_refused_by_name(
    client: openai.OpenAI, asked: dict[str, Any], carried_by: set[str]
) -> None:
    for model in EVERY:
        if model in carried_by:
            answer = client.chat.completions.create(model=model, messages=ASKED, max_tokens=8, **asked)
            assert answer.choices[0].message.content is not None
            continue
        error = refused(client.chat.completions.create, model=model, messages=ASKED, max_tokens=8, **asked)
        assert (error.status_code, error.code) == (400, "unsupported_parameter")
        assert error.param in asked


@pytest.mark.parametrize("model", EVERY)
def test_structured_outputs_reach_imported_models(client: openai.OpenAI, model: str) -> None:
    """The sandbox's generator cannot do it, and says so: the field got there."""
    error = refused(client.chat.completions.create, model=model, messages=ASKED, max_tokens=8, response_format=FORMAT)
    carried = model in ("cmi-chat", "cmi-completion")
    assert error.status_code == 400
    assert (error.code != "unsupported_parameter") == carried
    assert ("generator cannot honour response_format" in error.message) == carried


def test_pictures_are_refused(client: openai.OpenAI) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    for model in EVERY:
        error = refused(client.chat.completions.create, model=model, messages=[{"role": "user", "content": [part]}])
        assert error.status_code == 400


@pytest.mark.parametrize("model", EVERY)
def test_responses_and_messages_are_not_served(gateway: GatewayProcess, client: openai.OpenAI, model: str) -> None:
    before = sent(gateway)
    error = refused(client.responses.create, model=model, input="sky?")
    assert (error.status_code, error.code, error.param) == (404, "operation_not_supported", "model")
    assert "/v1/responses" in error.message
    claude = anthropic.Anthropic(base_url=gateway.root, api_key=API_KEY, max_retries=0)
    asked: Any = {"model": model, "messages": [{"role": "user", "content": "sky?"}]}
    with pytest.raises(anthropic.NotFoundError, match="/v1/messages"):
        claude.messages.create(**asked, max_tokens=5)
    with pytest.raises(anthropic.NotFoundError, match="/v1/messages/count_tokens"):
        claude.messages.count_tokens(**asked)
    assert sent(gateway) == before


@pytest.mark.parametrize("model", ["cmi-chat", "base-converse"])
def test_completions_and_embeddings_are_refused_where_there_is_no_body_for_them(
    client: openai.OpenAI, model: str
) -> None:
    assert refused(client.completions.create, model=model, prompt="Once", max_tokens=5).status_code in (400, 404)
    assert refused(client.embeddings.create, model=model, input="Once").status_code == 404
