"""What OpenAI's client gets from the box."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest


async def test_a_chat_answer_has_text_a_reason_and_a_usage_that_adds_up(start: Any) -> None:
    box = await start()
    answer = await box.chat("Tell me something.", max_tokens=16)
    choice = answer.choices[0]
    assert choice.message.role == "assistant"
    assert "simulated" in choice.message.content
    assert choice.finish_reason == "length"
    assert answer.usage.completion_tokens == 16
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 16
    assert answer.system_fingerprint == "simulated-generator"


async def test_an_answer_without_a_limit_ends_by_itself(start: Any) -> None:
    box = await start()
    answer = await box.chat()
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content.endswith(".")


async def test_a_stream_gives_the_same_text_word_by_word_and_its_usage_at_the_end(start: Any) -> None:
    box = await start()
    whole = await box.chat("same", max_tokens=20)
    events = [
        event
        async for event in await box.chat("same", max_tokens=20, stream=True, stream_options={"include_usage": True})
    ]
    *pieces, last = events
    assert events[0].choices[0].delta.role == "assistant"
    words = [event.choices[0].delta.content for event in pieces]
    assert "".join(words) == whole.choices[0].message.content
    assert sum(1 for word in words if word) == 20
    assert pieces[-1].choices[0].finish_reason == "length"
    assert last.choices == []
    assert last.usage == whole.usage


async def test_a_stream_without_include_usage_has_none(start: Any) -> None:
    box = await start()
    events = [event async for event in await box.chat(max_tokens=4, stream=True)]
    assert all(event.usage is None and event.choices for event in events)


async def test_a_stop_sequence_ends_the_text_before_it(start: Any) -> None:
    box = await start()
    answer = await box.chat(stop=[" from the"])
    assert answer.choices[0].message.content == "This reply is simulated text"
    assert answer.choices[0].finish_reason == "stop"
    events = [event async for event in await box.chat(stop=[" from the"], stream=True)]
    assert "".join(event.choices[0].delta.content or "" for event in events) == answer.choices[0].message.content


async def test_completions_take_a_prompt_streamed_or_not(start: Any) -> None:
    box = await start(models=["tuned", "smollm2"])
    asked: dict[str, Any] = {"model": "smollm2", "prompt": "Once upon a time", "max_tokens": 12}
    whole = await box.client.completions.create(**asked)
    assert whole.model == "smollm2"
    assert whole.usage.prompt_tokens == 4
    assert whole.usage.completion_tokens == 12
    stream = await box.client.completions.create(**asked, stream=True)
    assert "".join([event.choices[0].text async for event in stream]) == whole.choices[0].text


async def test_ignore_eos_goes_on_to_max_tokens(start: Any) -> None:
    box = await start()
    answer = await box.chat(max_tokens=700, extra_body={"ignore_eos": True})
    assert answer.usage.completion_tokens == 700


async def test_it_lists_its_models_and_says_what_it_is(start: Any) -> None:
    box = await start(models=["tuned", "smollm2"])
    models = (await box.client.models.list()).data
    assert [(model.id, model.owned_by) for model in models] == [
        ("tuned", "generator (simulated)"),
        ("smollm2", "generator (simulated)"),
    ]
    assert (await box.http.get("/health")).status_code == 200
    assert (await box.http.get("/version")).json() == {"version": "generator (simulated)"}


async def test_an_unknown_model_is_not_found(start: Any) -> None:
    box = await start()
    with pytest.raises(openai.NotFoundError) as raised:
        await box.chat(model="another")
    assert raised.value.code == "model_not_found"
    assert raised.value.param == "model"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", "invalid_json", None),
        (b"[1]", "invalid_json", None),
        (b'{"messages":[{"role":"user","content":"hi"}]}', "missing_parameter", "model"),
        (b'{"model":"tuned"}', "missing_parameter", "messages"),
        (b'{"model":"tuned","messages":[]}', "missing_parameter", "messages"),
        (
            b'{"model":"tuned","messages":[{"role":"user","content":"hi"}],"max_tokens":0}',
            "invalid_value",
            "max_tokens",
        ),
        (b'{"model":"tuned","messages":[{"role":"user","content":"hi"}],"n":2}', "unsupported_parameter", "n"),
        (
            b'{"model":"tuned","messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]}',
            "invalid_value",
            "messages",
        ),
    ],
)
async def test_a_body_it_cannot_answer_gets_openais_error_object(
    start: Any, body: bytes, code: str, param: str | None
) -> None:
    box = await start()
    answer = await box.http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)
    assert error["message"]


async def test_a_prompt_that_does_not_fit_the_context_is_refused(start: Any) -> None:
    box = await start(context_tokens=20)
    with pytest.raises(openai.BadRequestError) as raised:
        await box.chat("one two three", max_tokens=14)
    assert raised.value.code == "context_length_exceeded"
    assert (await box.chat("one two three", max_tokens=13)).usage.completion_tokens <= 13


async def test_an_unknown_path_is_not_found_and_the_connection_stays(start: Any) -> None:
    box = await start()
    answer = await box.http.post("/v1/embeddings", content=json.dumps({"model": "tuned", "input": "x"}))
    assert answer.status_code == 404
    assert (await box.chat(max_tokens=1)).usage.completion_tokens == 1
