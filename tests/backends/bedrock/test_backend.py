"""The backend against the Bedrock sandbox, over a socket: every shape, exact usage, the bill's own."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.backends.bedrock.backend import BedrockBackend
from gateway.backends.contract import Reply, UpstreamRequest
from gateway.backends.errors import Fault, UpstreamError
from gateway.backends.usage import Usage
from gateway.sandbox.bedrock.server import Served
from tests.backends.bedrock.conftest import Start, backend_settings
from tests.backends.bedrock.requests import BASE, IMPORTED, PROVISIONED, request, say
from tests.backends.sinks import Collector, text_of

CHATS = [
    {"model": IMPORTED, "body": "openai-chat"},
    {"model": IMPORTED, "body": "openai-completion"},
    {"model": IMPORTED, "body": "meta"},
    {"model": IMPORTED, "api": "converse"},
    {"model": BASE, "body": "meta"},
    {"model": BASE, "api": "converse"},
    {"model": f"us.{BASE}", "api": "converse"},
    {"model": PROVISIONED, "body": "meta"},
    {"model": PROVISIONED, "api": "converse"},
]
COMPLETIONS = [
    {"model": IMPORTED, "body": "openai-completion"},
    {"model": IMPORTED, "body": "meta"},
    {"model": BASE, "body": "meta"},
]


def label(target: dict[str, str]) -> str:
    return f"{target['model'].split(':')[-1].split('/')[0]}-{target.get('api') or target['body']}"


async def events_of(reply: Reply) -> list[dict[str, Any]]:
    """The events of a stream; the [DONE] at its end is checked and left out."""
    assert reply.content_type == "text/event-stream"
    lines = (await text_of(reply)).decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def billed(served: Served) -> list[Usage]:
    """What the sandbox booked, call by call."""
    models = served.sandbox.bill(with_calls=True)["models"].values()
    return [Usage(c["input_tokens"], c["output_tokens"], "exact") for model in models for c in model["calls"]]


async def failure(backend: BedrockBackend, one: UpstreamRequest) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await backend.send(one)
    return caught.value


# -- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", CHATS, ids=label)
async def test_a_chat_is_answered_the_same_streamed_or_not_and_its_usage_is_the_bill(
    start: Start, target: dict[str, Any]
) -> None:
    question = say("What is a shared prefix?", max_tokens=12, temperature=0)
    async with start() as (backend, served):
        whole = await backend.send(request(question, **target))
        answer = ChatCompletion.model_validate_json(await text_of(whole), strict=True)
        streamed = await backend.send(request(question, stream=True, include_usage=True, **target))
        chunks = [ChatCompletionChunk.model_validate(event, strict=True) for event in await events_of(streamed)]

        assert whole.content_type == "application/json"
        assert answer.choices[0].message.content == "".join(c.choices[0].delta.content or "" for c in chunks[:-1])
        assert answer.choices[0].message.content
        assert answer.choices[0].finish_reason == chunks[-2].choices[0].finish_reason == "length"
        assert chunks[0].choices[0].delta.role == "assistant"
        assert [chunk.choices[0].delta.role for chunk in chunks[1:-1]] == [None] * (len(chunks) - 2)
        assert {answer.model, *(chunk.model for chunk in chunks)} == {"tuned"}
        assert len({chunk.id for chunk in chunks}) == 1
        assert answer.id.startswith("chatcmpl-")

        assert billed(served) == [whole.usage, streamed.usage]
        for told, usage in ((answer.usage, whole.usage), (chunks[-1].usage, streamed.usage)):
            assert told is not None
            assert (told.prompt_tokens, told.completion_tokens) == (usage.input_tokens, usage.output_tokens)
        assert chunks[-1].choices == []


@pytest.mark.parametrize("target", COMPLETIONS, ids=label)
async def test_a_completion_is_answered_the_same_streamed_or_not(start: Start, target: dict[str, Any]) -> None:
    body = {"prompt": "Once upon a time", "max_tokens": 9}
    async with start() as (backend, served):
        whole = await backend.send(request(body, operation="completions", **target))
        answer = Completion.model_validate_json(await text_of(whole))
        streamed = await backend.send(request(body, operation="completions", stream=True, **target))
        chunks = await events_of(streamed)
        assert answer.choices[0].text == "".join(chunk["choices"][0]["text"] for chunk in chunks)
        assert answer.choices[0].finish_reason == chunks[-1]["choices"][0]["finish_reason"] == "length"
        assert {answer.model, *(chunk["model"] for chunk in chunks)} == {"tuned"}
        assert billed(served) == [whole.usage, streamed.usage]


async def test_a_stream_has_no_usage_event_unless_it_was_asked_for(start: Start) -> None:
    async with start() as (backend, _):
        for target in CHATS[:4]:
            reply = await backend.send(request(say("hi", max_tokens=3), stream=True, **target))
            assert all(event["choices"] for event in await events_of(reply))
            assert reply.usage.certainty == "exact"


async def test_a_stop_sequence_and_the_logprobs_arrive(start: Start) -> None:
    async with start() as (backend, _):
        body = say("hi", max_tokens=4, logprobs=True, top_logprobs=2)
        reply = await backend.send(request(body, model=IMPORTED, body="openai-chat"))
        answer = ChatCompletion.model_validate_json(await text_of(reply))
        assert answer.choices[0].logprobs is not None
        word = (answer.choices[0].message.content or "").split()[0]
        reply = await backend.send(request(say("hi", stop=[word], max_tokens=4), model=BASE, api="converse"))
        assert ChatCompletion.model_validate_json(await text_of(reply)).choices[0].finish_reason == "stop"


async def test_a_stream_that_tells_no_usage_is_estimated(start: Start) -> None:
    async with start(model={"usage_in_stream": "none", "usage_headers": False}) as (backend, served):
        one = request(say("hi", max_tokens=6), stream=True, include_usage=True, model=IMPORTED, body="openai-chat")
        reply = await backend.send(one)
        events = await events_of(reply)
        assert reply.usage.certainty == "estimated"
        assert events[-1]["usage"]["completion_tokens"] == reply.usage.output_tokens > 0
        assert len(billed(served)) == 1


async def test_one_connection_serves_calls_that_follow_one_another(start: Start) -> None:
    async with start() as (backend, served):
        for number in range(6):
            reply = await backend.send(
                request(say("hi", max_tokens=3), stream=bool(number % 2), model=BASE, body="meta")
            )
            await text_of(reply)
        assert served.sandbox.open_connections == 1


# -- credentials ------------------------------------------------------------------------------------------------------


async def test_a_bearer_key_is_taken(start: Start) -> None:
    async with start(backend={"credentials": {"bearer_token": "sandbox-key"}}) as (backend, _):
        assert await text_of(await backend.send(request(say("hi"), api="converse")))


@pytest.mark.parametrize(
    "credentials",
    [
        {"bearer_token": "not-the-key"},
        {"access_key_id": "AKIDSANDBOX", "secret_access_key": "wrong-secret", "session_token": "sandbox-token"},
        {"access_key_id": "AKIDOTHER", "secret_access_key": "sandbox-secret"},
    ],
    ids=["bearer", "secret", "key id"],
)
async def test_refused_credentials_are_named_as_the_gateway_s_own_trouble(
    start: Start, credentials: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with start(backend={"credentials": credentials}) as (backend, _):
        error = await failure(backend, request(say("hi"), api="converse"))
    assert (error.status, error.fault, error.code) == (502, Fault.UPSTREAM, "backend_credentials_refused")
    for secret in credentials.values():
        if not secret.startswith("AKID"):
            assert secret not in f"{error!r} {backend!r} {caplog.text}"


# -- what does not work -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status", "fault"),
    [
        ("throttle", 429, Fault.CAPACITY),
        ("internal", 502, Fault.UPSTREAM),
        ("unavailable", 503, Fault.UPSTREAM),
        ("validation", 400, Fault.CLIENT),
        ("model_error", 502, Fault.UPSTREAM),
        ("timeout", 504, Fault.UPSTREAM),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_refusal_is_told_in_openai_s_terms_and_the_next_call_works(
    start: Start, kind: str, status: int, fault: Fault, stream: bool
) -> None:
    async with start(faults=[{"kind": kind}]) as (backend, _):
        error = await failure(backend, request(say("hi"), stream=stream, api="converse"))
        assert (error.status, error.fault) == (status, fault)
        assert await text_of(await backend.send(request(say("hi"), stream=stream, api="converse")))


async def test_an_unknown_model_and_a_refused_api_are_the_policy_s_mistake(start: Start) -> None:
    async with start(model={"instruct_supported": False}) as (backend, _):
        for target in ({"model": IMPORTED[:-1] + "9", "body": "meta"}, {"model": IMPORTED, "api": "converse"}):
            error = await failure(backend, request(say("hi"), **target))
            assert (error.status, error.code) == (502, "backend_model_unusable")
            assert "123456789012" not in error.message


async def test_an_operation_that_the_target_lacks_is_a_404(start: Start) -> None:
    async with start() as (backend, served):
        error = await failure(backend, request({"input": "x"}, operation="embeddings", body="meta"))
        assert (error.status, error.fault) == (404, Fault.CLIENT)
        assert billed(served) == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_garbage_is_called_garbage(start: Start, stream: bool) -> None:
    async with start(faults=[{"kind": "garbage"}]) as (backend, _):
        error = await failure(backend, request(say("hi"), stream=stream, api="converse"))
        assert (error.status, error.code) == (502, "backend_garbage")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_connection_that_closes_without_an_answer_is_unreachable(start: Start, stream: bool) -> None:
    async with start(faults=[{"kind": "close"}]) as (backend, _):
        error = await failure(backend, request(say("hi"), stream=stream, api="converse"))
        assert (error.status, error.code) == (502, "backend_unreachable")


async def test_a_refused_connection_is_unreachable_and_no_address_is_told() -> None:
    backend = BedrockBackend("cloud", backend_settings("http://127.0.0.1:1", {}))
    error = await failure(backend, request(say("hi"), api="converse"))
    await backend.aclose()
    assert error.code == "backend_unreachable"
    assert "Connection refused" in error.message
    assert "127.0.0.1" not in error.message


async def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    backend = BedrockBackend("cloud", backend_settings("http://nowhere.invalid", {}))
    error = await failure(backend, request(say("hi"), api="converse"))
    await backend.aclose()
    assert error.code == "backend_unreachable"
    assert "nowhere" not in error.message


@pytest.mark.parametrize("target", CHATS[:4], ids=label)
async def test_a_stream_that_fails_before_any_text_can_still_go_elsewhere(start: Start, target: dict[str, Any]) -> None:
    async with start(faults=[{"kind": "mid_stream_exception", "exception": "throttlingException"}]) as (backend, _):
        error = await failure(backend, request(say("hi"), stream=True, **target))
        assert (error.status, error.fault) == (429, Fault.CAPACITY)


@pytest.mark.parametrize("target", CHATS[:4], ids=label)
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "mid_stream_exception"}, "model_error"),
        ({"kind": "mid_stream_exception", "exception": "serviceUnavailableException"}, "backend_unavailable"),
        ({"kind": "bad_crc"}, "backend_garbage"),
        ({"kind": "close"}, "backend_unreachable"),
        ({"kind": "hang"}, "backend_timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value["kind"]),
)
async def test_a_failure_in_the_middle_comes_after_the_text_before_it(
    start: Start, target: dict[str, Any], fault: dict[str, Any], code: str
) -> None:
    timeouts = {"timeouts": {"stall_seconds": 0.2}}
    async with start(faults=[{**fault, "after_tokens": 3}], backend=timeouts) as (backend, served):
        reply = await backend.send(request(say("hi", max_tokens=30), stream=True, **target))
        got, error = await read_until_it_fails(reply)
        assert error.code == code
        assert got.count(b"data: ") >= 3
        assert b"[DONE]" not in got
        (booked,) = await eventually_billed(served)
        assert reply.usage.certainty == "estimated"
        assert reply.usage.output_tokens == booked.output_tokens >= 3


async def read_until_it_fails(reply: Reply) -> tuple[bytes, UpstreamError]:
    sink = Collector()
    try:
        await reply.relay(sink)
    except UpstreamError as error:
        return reply.first + sink.text, error
    raise AssertionError("the stream ended well")


async def eventually_billed(served: Served) -> list[Usage]:
    """The bill once the sandbox has noticed that its client is gone."""
    await until(lambda: served.sandbox.state()["in_flight"] == 0)
    return billed(served)


async def until(condition: Any) -> None:
    give_up = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < give_up, "it did not come about within 5 s"
        await asyncio.sleep(0.005)
