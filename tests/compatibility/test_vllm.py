"""The real vLLM behind the gateway: what it has of the Responses and the Messages API comes through as it is directly.

Chat, completions, logprobs and bad requests: tests/end_to_end/test_through_vllm.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.gateway_process import API_KEY, GatewayProcess
from tests.server.fleets import box
from tests.vllm_fixture import RunningVllm

pytestmark = pytest.mark.vllm
QUESTION = "Name three colours, and say nothing else."
SCHEMA: Any = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
RESPONSES: Any = {"input": QUESTION, "max_output_tokens": 12, "temperature": 0}
MESSAGES: Any = {
    "messages": [{"role": "user", "content": QUESTION}],
    "max_tokens": 12,
    "extra_body": {"temperature": 0},
}


@pytest.fixture(scope="module")
def gateway(vllm_server: RunningVllm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    policy = {
        "backends": {"box": box(vllm_server.base_url, metrics_url=f"{vllm_server.root_url}/metrics")},
        "aliases": {
            "base": {"served_by": [{"backend": "box", "model": vllm_server.base_model}]},
            "vectors": {"served_by": [{"backend": "box", "model": vllm_server.base_model, "embeddings": True}]},
        },
    }
    running = GatewayProcess(policy, tmp_path_factory.mktemp("compatibility-vllm"))
    yield running
    running.close()


@pytest.fixture
def openais(vllm_server: RunningVllm, gateway: GatewayProcess) -> list[tuple[openai.OpenAI, str]]:
    """(client, model) of vLLM itself, and of the gateway."""
    direct = openai.OpenAI(base_url=vllm_server.base_url, api_key="none", max_retries=0)
    return [(direct, vllm_server.base_model), (openai.OpenAI(base_url=gateway.url, api_key=API_KEY), "base")]


@pytest.fixture
def claudes(vllm_server: RunningVllm, gateway: GatewayProcess) -> list[tuple[anthropic.Anthropic, str]]:
    direct = anthropic.Anthropic(base_url=vllm_server.root_url, api_key="none", max_retries=0)
    return [(direct, vllm_server.base_model), (anthropic.Anthropic(base_url=gateway.root, api_key=API_KEY), "base")]


def same(values: list[Any]) -> Any:
    assert values[0] == values[1]
    return values[0]


def booked(gateway: GatewayProcess) -> tuple[int, int]:
    totals = gateway.books().get("box", {"input_tokens": 0, "output_tokens": 0})
    return totals["input_tokens"], totals["output_tokens"]


def test_responses(openais: Any, gateway: GatewayProcess) -> None:
    before = booked(gateway)
    whole = [client.responses.create(model=model, **RESPONSES) for client, model in openais]
    text = same([answer.output_text for answer in whole])
    usage = same([answer.usage.model_dump(exclude={"input_tokens_details"}) for answer in whole])
    streamed = []
    for client, model in openais:
        with client.responses.stream(model=model, **RESPONSES) as stream:
            events = list(stream)
            streamed.append(([event.type for event in events], stream.get_final_response().output_text))
    assert same(streamed)[1] == text
    now = booked(gateway)
    assert (now[0] - before[0], now[1] - before[1]) == (2 * usage["input_tokens"], 2 * usage["output_tokens"])


def test_structured_outputs_of_responses(openais: Any) -> None:
    form: Any = {"format": {"type": "json_schema", "name": "c", "schema": SCHEMA, "strict": True}}
    answers = [c.responses.create(model=m, input=QUESTION, text=form, temperature=0).output_text for c, m in openais]
    assert json.loads(same(answers))["colour"] in ("red", "blue")


def test_messages(claudes: Any, gateway: GatewayProcess) -> None:
    before = booked(gateway)
    whole = [client.messages.create(model=model, system="Be brief.", **MESSAGES) for client, model in claudes]
    text = same([answer.content[0].text for answer in whole])
    assert same([answer.stop_reason for answer in whole])
    usage = whole[0].usage
    streamed = []
    for client, model in claudes:
        with client.messages.stream(model=model, system="Be brief.", **MESSAGES) as stream:
            events = [event.type for event in stream]
            streamed.append((events, stream.get_final_text()))
    assert same(streamed)[1] == text
    now = booked(gateway)
    assert (now[0] - before[0], now[1] - before[1]) == (2 * usage.input_tokens, 2 * usage.output_tokens)


def test_counting_tokens(claudes: Any, gateway: GatewayProcess) -> None:
    before = booked(gateway)
    asked: Any = MESSAGES["messages"]
    assert same([c.messages.count_tokens(model=m, messages=asked).input_tokens for c, m in claudes]) > 0
    assert booked(gateway) == before


def test_bad_requests_raise_the_same_classes(openais: Any, claudes: Any) -> None:
    for client, model in openais:
        with pytest.raises(openai.BadRequestError, match="max_output_tokens"):
            client.responses.create(model=model, input="x", max_output_tokens=100_000)
    for client, model in claudes:
        with pytest.raises(anthropic.BadRequestError, match="max_model_len"):
            client.messages.create(model=model, **{**MESSAGES, "max_tokens": 5000})


def test_a_required_tool_and_structured_chat(openais: Any) -> None:
    """A model this small calls no tool by itself, and one that it must call it calls wrongly: the same both ways."""
    asked: Any = {"messages": MESSAGES["messages"], "temperature": 0, "max_tokens": 60}
    tool: Any = {"type": "function", "function": {"name": "paint", "parameters": SCHEMA}}
    named: Any = {"type": "function", "function": {"name": "paint"}}
    calls = []
    for client, model in openais:
        answer = client.chat.completions.create(model=model, tools=[tool], tool_choice=named, **asked)
        calls.append([call.function.arguments for call in answer.choices[0].message.tool_calls])
    assert same(calls)
    guided: Any = {"extra_body": {"structured_outputs": {"choice": ["red", "blue"]}}}
    said = [c.chat.completions.create(model=m, **asked, **guided).choices[0].message.content for c, m in openais]
    assert same(said) in ("red", "blue")


def test_embeddings_of_a_model_that_makes_none_are_an_error(gateway: GatewayProcess) -> None:
    """This vLLM serves a generating model, and has no such path."""
    answer = httpx.post(
        f"{gateway.url}/embeddings", json={"model": "vectors", "input": "x"}, headers=gateway.headers(), timeout=20
    )
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "backend_refused"
