"""An OpenAI request goes into each Bedrock body, and each answer comes back as OpenAI's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.backends.bedrock import fields
from gateway.backends.bedrock.answer import Answer, finish_reason
from gateway.backends.bedrock.shapes import refused_fields, shape_for
from gateway.backends.bedrock.tally import Tally, TokenRates
from gateway.backends.contract import UpstreamRequest
from gateway.backends.errors import Fault, UpstreamError
from gateway.backends.usage import MISSING, Usage
from gateway.policy.schema import ServedBy
from tests.backends.bedrock.frames import chunk_payload
from tests.backends.bedrock.requests import request, say

CHAT: dict[str, Any] = {
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Say "}, {"type": "text", "text": "hi"}]},
    ]
}
CHAT_PROMPT = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nSay hi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
)
SAMPLING = {"temperature": 0, "top_p": 0.5}


def encoded(one: UpstreamRequest) -> Any:
    return json.loads(shape_for(one.target).encode(one))


# -- requests ---------------------------------------------------------------------------------------------------------


def test_openai_chat_takes_the_messages_as_they_are() -> None:
    body = {**CHAT, **SAMPLING, "stop": "x", "seed": 1, "logprobs": True, "top_logprobs": 2, "max_completion_tokens": 9}
    ignored = {"stream": True, "user": "u", "n": 1, "max_tokens": None}
    got = encoded(request({**body, **ignored}, body="openai-chat"))
    del body["max_completion_tokens"]
    assert got == {**body, "max_tokens": 9}


def test_openai_completion_gets_the_template_and_always_a_limit() -> None:
    assert encoded(request({**CHAT, **SAMPLING, "stop": ["x"]}, body="openai-completion")) == {
        "prompt": CHAT_PROMPT, "max_tokens": fields.CHAT_MAX_TOKENS, **SAMPLING, "stop": ["x"],
    }  # fmt: skip


def test_meta_gets_the_template_and_always_a_limit() -> None:
    assert encoded(request({**CHAT, **SAMPLING}, body="meta")) == {
        "prompt": CHAT_PROMPT, "max_gen_len": fields.CHAT_MAX_TOKENS, **SAMPLING,
    }  # fmt: skip


@pytest.mark.parametrize("prompt", ["Once", ["Once"]])
def test_a_completion_s_prompt_goes_without_a_template(prompt: str | list[str]) -> None:
    body = {"prompt": prompt, "max_tokens": 5}
    assert encoded(request(body, operation="completions", body="openai-completion")) == {
        "prompt": "Once", "max_tokens": 5,
    }  # fmt: skip
    assert encoded(request(body, operation="completions", body="meta")) == {"prompt": "Once", "max_gen_len": 5}


def test_a_completion_without_a_limit_gets_openai_s_default() -> None:
    body = encoded(request({"prompt": "Once"}, operation="completions", body="openai-completion"))
    assert body["max_tokens"] == 16


def test_converse_gets_system_texts_apart_and_turns_that_alternate() -> None:
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]
    got = encoded(request({"messages": messages, "max_tokens": 7, **SAMPLING, "stop": "x"}, api="converse"))
    assert got == {
        "system": [{"text": "S"}],
        "messages": [
            {"role": "user", "content": [{"text": "a"}, {"text": "b"}]},
            {"role": "assistant", "content": [{"text": "c"}]},
            {"role": "user", "content": [{"text": "d"}]},
        ],
        "inferenceConfig": {"maxTokens": 7, "temperature": 0, "topP": 0.5, "stopSequences": ["x"]},
    }


def test_converse_without_settings_leaves_the_model_its_own() -> None:
    assert "inferenceConfig" not in encoded(request(say("hi"), api="converse"))
    got = encoded(request(say("hi", stop=["x", "y"]), api="converse"))
    assert got["inferenceConfig"] == {"stopSequences": ["x", "y"]}


IMAGE = {"type": "image_url", "image_url": {"url": "data:"}}


@pytest.mark.parametrize("target", [{"body": "meta"}, {"body": "openai-completion"}, {"api": "converse"}])
@pytest.mark.parametrize(
    ("messages", "param"),
    [
        (None, "messages"),
        ([], "messages"),
        ([{"role": "user"}, {"role": "tool", "content": "1"}], "messages[1].role"),
        ([{"role": "user", "content": [IMAGE]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": 5}], "messages"),
    ],
)
def test_messages_that_have_no_text_form_are_a_400_that_names_the_place(
    target: dict[str, str], messages: Any, param: str
) -> None:
    with pytest.raises(UpstreamError) as caught:
        encoded(request({"messages": messages}, **target))
    assert (caught.value.status, caught.value.fault, caught.value.param) == (400, Fault.CLIENT, param)


@pytest.mark.parametrize("prompt", [None, 5, [1, 2], ["a", "b"], []])
def test_a_prompt_that_is_not_one_text_is_a_400(prompt: Any) -> None:
    with pytest.raises(UpstreamError) as caught:
        encoded(request({"prompt": prompt}, operation="completions", body="meta"))
    assert (caught.value.status, caught.value.param) == (400, "prompt")


# -- what is refused --------------------------------------------------------------------------------------------------

TARGETS = {
    "chat": {"body": "openai-chat"}, "completion": {"body": "openai-completion"}, "meta": {"body": "meta"},
    "converse": {"api": "converse"},
}  # fmt: skip


def refused(target: str, operation: Any, *demands: str) -> set[str]:
    served = ServedBy.model_validate({"backend": "cloud", "model": "m", **TARGETS[target]})
    return set(refused_fields(frozenset(demands), operation, served))


@pytest.mark.parametrize("target", TARGETS)
def test_what_no_bedrock_body_carries_is_refused_by_all(target: str) -> None:
    demands = {"n", "tools", "tool_choice", "messages.image_url", "messages.input_audio", "messages.tool_calls"}
    assert refused(target, "chat", *demands) == demands


@pytest.mark.parametrize("target", TARGETS)
def test_plain_demands_and_ignorable_ones_are_never_refused(target: str) -> None:
    plain = ("messages", "max_tokens", "max_completion_tokens", "temperature", "top_p")
    ignorable = ("model", "stream", "stream_options", "user", "metadata", "store", "service_tier")
    assert refused(target, "chat", *plain, *ignorable) == set()


@pytest.mark.parametrize(
    ("target", "left"),
    [
        ("chat", set()),
        ("completion", {"logprobs"}),
        ("converse", {"seed", "response_format", "logprobs"}),
        ("meta", {"stop", "seed", "response_format", "logprobs"}),
    ],
)
def test_each_body_carries_what_it_has_a_field_for(target: str, left: set[str]) -> None:
    assert refused(target, "chat", "stop", "seed", "response_format", "logprobs") == left


def test_a_whole_operation_is_refused_by_the_name_of_its_main_field() -> None:
    assert refused("chat", "completions") == {"prompt"}
    assert refused("converse", "completions", "temperature") == {"prompt"}
    assert refused("meta", "completions", "prompt", "max_tokens") == set()
    assert refused("meta", "embeddings", "input") == {"input"}


# -- answers ----------------------------------------------------------------------------------------------------------


class Translated:
    """One answer put through a target's translator."""

    def __init__(self, one: UpstreamRequest, rates: TokenRates | None = None) -> None:
        self.answer = Answer(one, 1_763_000_000)
        self.tally = Tally(one.prompt_bytes, rates or TokenRates())
        self.translator = shape_for(one.target).translator(self.answer, self.tally)

    def chunks(self, *model_json: Any) -> list[dict[str, Any]]:
        return self.events(*(("chunk", chunk_payload(each)) for each in model_json))

    def events(self, *events: tuple[str, Any]) -> list[dict[str, Any]]:
        out = b"".join(self.translator.event(name, json.dumps(payload).encode()) for name, payload in events)
        return [json.loads(line.removeprefix("data: ")) for line in out.decode().split("\n\n") if line]

    def whole(self, body: Any, **headers: str) -> dict[str, Any]:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return json.loads(self.translator.whole(json.dumps(body).encode(), told))  # type: ignore[no-any-return]


VLLM_CHAT = {
    "id": "chatcmpl-theirs", "object": "chat.completion", "created": 5, "model": "123456789012-abcdef012345",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "length"}],
    "usage": {"prompt_tokens": 41, "completion_tokens": 1, "total_tokens": 42},
}  # fmt: skip


def test_a_whole_openai_answer_passes_but_for_the_account_in_its_model() -> None:
    one = request(say("hi"), body="openai-chat")
    translated = Translated(one)
    got = translated.whole({**VLLM_CHAT, "service_tier": None, "amazon-bedrock-invocationMetrics": {}})
    ours = {"id": f"chatcmpl-{one.request_id}", "created": 1_763_000_000, "model": "tuned"}
    assert got == {**VLLM_CHAT, "service_tier": None, **ours}
    assert translated.tally.usage == Usage(41, 1, "exact")


def piece(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    return {
        "id": "theirs", "object": "chat.completion.chunk", "model": "123456789012-abcdef012345",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more,
    }  # fmt: skip


METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 7, "outputTokenCount": 2, "invocationLatency": 4}}


def test_a_streamed_openai_answer_passes_with_the_role_first_and_no_metrics() -> None:
    translated = Translated(request(say("hi"), body="openai-chat", stream=True))
    got = translated.chunks(piece("He"), piece("llo"), piece(None, "stop", **METRICS))
    assert [each["choices"][0]["delta"] for each in got] == [
        {"role": "assistant", "content": ""}, {"content": "He"}, {"content": "llo"}, {},
    ]  # fmt: skip
    assert {each["model"] for each in got} == {"tuned"}
    assert len({each["id"] for each in got}) == 1
    assert "123456789012" not in json.dumps(got)
    assert "amazon-bedrock" not in json.dumps(got)
    assert translated.translator.finished
    assert translated.tally.usage == Usage(7, 2, "exact")


def test_a_role_that_the_backend_sends_is_not_sent_twice() -> None:
    opening = piece("")
    opening["choices"][0]["delta"]["role"] = "assistant"
    got = Translated(request(say("hi"), body="openai-chat", stream=True)).chunks(opening, piece("Hi"))
    assert [each["choices"][0]["delta"] for each in got] == [{"role": "assistant", "content": ""}, {"content": "Hi"}]


def test_a_stream_s_usage_is_taken_out_and_is_final_only_at_its_end() -> None:
    translated = Translated(request(say("hi"), body="openai-chat", stream=True))
    usage = {"prompt_tokens": 9, "completion_tokens": 3}
    got = translated.chunks(piece("Hello", usage=usage))
    assert translated.tally.usage == Usage(9, 3, "estimated")
    got += translated.chunks(piece(None, "stop"), {"choices": [], "usage": {**usage, "completion_tokens": 4}})
    assert translated.tally.usage == Usage(9, 4, "exact")
    assert all("usage" not in each for each in got)
    assert len(got) == 3  # role, text, end: the chunk that only had the usage is gone


def meta(text: str, count: int, stop: str | None = None, prompt: int | None = None, **more: Any) -> dict[str, Any]:
    counts = {"prompt_token_count": prompt, "generation_token_count": count}
    return {"generation": text, "stop_reason": stop, **counts, **more}


def test_a_meta_stream_becomes_chat_chunks_without_special_tokens() -> None:
    translated = Translated(request(say("hi"), body="meta", stream=True))
    got = translated.chunks(meta("Hel", 1, prompt=3), meta("lo<|eot", 2), meta("_id|>", 3, "stop"))
    assert [each["choices"][0]["delta"].get("content") for each in got] == ["", "Hel", "lo", None]
    assert got[-1]["choices"][0]["finish_reason"] == "stop"
    assert all(each["object"] == "chat.completion.chunk" for each in got)
    assert translated.tally.usage == Usage(3, 3, "exact")


def test_a_meta_stream_cut_early_knows_its_input_exactly_and_its_output_up_to_there() -> None:
    translated = Translated(request(say("hi"), body="meta", stream=True))
    translated.chunks(meta("Hel", 1, prompt=3), meta("lo wor", 4))
    assert translated.tally.usage == Usage(3, 4, "estimated")


def test_a_whole_meta_answer_becomes_a_completion() -> None:
    one = request({"prompt": "Once", "max_tokens": 5}, operation="completions", body="meta")
    got = Translated(one).whole(meta("upon<|eot_id|>", 5, "length", prompt=2))
    assert got == {
        "id": f"cmpl-{one.request_id}", "object": "text_completion", "created": 1_763_000_000, "model": "tuned",
        "choices": [{"index": 0, "text": "upon", "logprobs": None, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 5, "total_tokens": 7},
    }  # fmt: skip


def text_piece(text: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": finish}], **more}


def test_a_completion_stream_becomes_chat_chunks() -> None:
    translated = Translated(request(say("hi"), body="openai-completion", stream=True))
    got = translated.chunks(text_piece("Hi"), text_piece("<|eot_id|>", "stop", **METRICS))
    assert [each["choices"][0]["delta"] for each in got] == [
        {"role": "assistant", "content": ""}, {"content": "Hi"}, {},
    ]  # fmt: skip
    assert translated.tally.usage == Usage(7, 2, "exact")


def test_a_completion_stream_passes_for_a_completions_request() -> None:
    one = request({"prompt": "Once"}, operation="completions", body="openai-completion", stream=True)
    got = Translated(one).chunks(text_piece("Hi", model="123456789012-abc"), text_piece("", "length"))
    assert [each["choices"][0]["text"] for each in got] == ["Hi", ""]
    assert {each["model"] for each in got} == {"tuned"}


def test_a_converse_stream_becomes_chat_chunks() -> None:
    translated = Translated(request(say("hi"), api="converse", stream=True))
    got = translated.events(
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}, "p": "abc"}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "max_tokens"}),
        ("metadata", {"usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4}, "metrics": {"latencyMs": 1}}),
        ("somethingNew", {"a": 1}),
    )
    assert [each["choices"][0]["delta"] for each in got] == [
        {"role": "assistant", "content": ""}, {"content": "Hi"}, {},
    ]  # fmt: skip
    assert got[-1]["choices"][0]["finish_reason"] == "length"
    assert translated.tally.usage == Usage(3, 1, "exact")


def test_a_whole_converse_answer_becomes_a_chat_completion() -> None:
    body = {
        "output": {"message": {"role": "assistant", "content": [{"text": "he"}, {"text": "llo"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 3, "outputTokens": 0, "totalTokens": 3},
    }
    translated = Translated(request(say("hi"), api="converse"))
    got = translated.whole(body)
    assert got["choices"][0]["message"]["content"] == "hello"
    assert got["choices"][0]["finish_reason"] == "stop"
    assert translated.tally.usage == Usage(3, 0, "exact"), "an explicit 0 is exact"


@pytest.mark.parametrize(
    ("stop_reason", "openai"),
    [
        ("stop", "stop"), ("end_turn", "stop"), ("stop_sequence", "stop"), ("length", "length"),
        ("max_tokens", "length"), ("content_filtered", "content_filter"), ("guardrail_intervened", "content_filter"),
        ("tool_use", "tool_calls"), ("model_context_window_exceeded", "length"), ("malformed_model_output", "stop"),
    ],
)  # fmt: skip
def test_stop_reasons_become_openai_s(stop_reason: str, openai: str) -> None:
    assert finish_reason(stop_reason) == openai


# -- usage ------------------------------------------------------------------------------------------------------------

NO_COUNTS = {"choices": VLLM_CHAT["choices"]}


def test_the_headers_tell_the_usage_where_the_body_does_not() -> None:
    translated = Translated(request(say("hi"), body="openai-chat"))
    headers = {"x_amzn_bedrock_input_token_count": "12", "x_amzn_bedrock_output_token_count": "5"}
    got = translated.whole(NO_COUNTS, **headers)
    assert translated.tally.usage == Usage(12, 5, "exact")
    assert got["usage"] == {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}


def test_the_body_is_believed_before_the_headers() -> None:
    translated = Translated(request(say("hi"), body="openai-chat"))
    translated.whole(VLLM_CHAT, x_amzn_bedrock_input_token_count="1", x_amzn_bedrock_output_token_count="9")
    assert translated.tally.usage == Usage(41, 1, "exact")


def test_what_nobody_told_is_estimated_from_the_text() -> None:
    translated = Translated(request(say("a" * 400), body="openai-chat"))
    body = {"choices": [{"index": 0, "message": {"content": "b" * 200}, "finish_reason": "stop"}]}
    translated.whole(body, x_amzn_bedrock_input_token_count="not a number")
    usage = translated.tally.usage
    assert usage.certainty == "estimated"
    assert 100 <= usage.input_tokens <= 120
    assert usage.output_tokens == 50


def test_nothing_told_and_no_text_is_missing_not_zero() -> None:
    translated = Translated(request(say("hi"), body="openai-chat"))
    got = translated.whole({"choices": [{"index": 0, "message": {"content": ""}, "finish_reason": "stop"}]})
    assert translated.tally.usage == MISSING
    assert "usage" not in got


def test_a_stream_cut_early_counts_the_events_that_passed() -> None:
    translated = Translated(request(say("hi"), body="openai-chat", stream=True))
    translated.chunks(piece("one"), piece(" two"), piece(" three"))
    usage = translated.tally.usage
    assert (usage.output_tokens, usage.certainty) == (3, "estimated")


def test_exact_answers_teach_the_estimates() -> None:
    rates = TokenRates()
    before = rates.prompts.ratio
    Translated(request(say("a" * 1000), body="openai-chat"), rates).whole(VLLM_CHAT)
    assert rates.prompts.ratio > before
    assert rates.answers.ratio < before
