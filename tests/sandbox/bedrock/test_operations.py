"""The four operations, as boto3 sees them."""

from __future__ import annotations

import json
import math
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from tests.sandbox.bedrock.conftest import ARN, BASE, PROVISIONED, Running

CHAT = [{"role": "user", "content": "x"}]
USER = [{"role": "user", "content": [{"text": "Where is the key?"}]}]


def test_chat_body_gets_a_chat_completion(warm: Running) -> None:
    body = warm.chat(max_tokens=5)
    assert body["object"] == "chat.completion"
    assert body["model"] == "123456789012-abcdef012345"
    [choice] = body["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    assert choice["finish_reason"] == "length"
    usage = body["usage"]
    assert usage["completion_tokens"] == 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + 5


def test_prompt_with_max_tokens_gets_a_text_completion(warm: Running) -> None:
    body = warm.invoke(ARN, prompt="Once", max_tokens=4)
    assert body["object"] == "text_completion"
    assert body["choices"][0]["text"]
    assert body["usage"]["completion_tokens"] == 4


@pytest.mark.parametrize("model", [ARN, BASE, PROVISIONED])
def test_prompt_with_max_gen_len_gets_a_generation(warm: Running, model: str) -> None:
    body = warm.invoke(model, prompt="Once upon", max_gen_len=4)
    assert body["generation"]
    assert body["prompt_token_count"] == 2
    assert body["generation_token_count"] == 4
    assert body["stop_reason"] == "length"


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 30},
        {"prompt": "hi", "max_tokens": 30},
        {"prompt": "hi", "max_gen_len": 30},
    ],
)
def test_a_stream_carries_the_same_text_as_the_whole_answer(warm: Running, body: dict[str, Any]) -> None:
    def text_of(answer: dict[str, Any]) -> str:
        if "generation" in answer:
            return answer["generation"]
        choice = answer["choices"][0]
        return choice["text"] if "text" in choice else choice.get("message", choice.get("delta")).get("content", "")

    chunks = warm.stream(ARN, **body)
    assert len(chunks) > 10
    assert "".join(map(text_of, chunks)) == text_of(warm.invoke(ARN, **body))


def test_chat_stream_tells_usage_when_asked(warm: Running) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
    *_, finish, usage = warm.stream(ARN, **body, stream_options={"include_usage": True})
    assert finish["choices"][0]["finish_reason"] == "length"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 3
    assert all("usage" not in chunk for chunk in warm.stream(ARN, **body))


@pytest.mark.parametrize(
    ("where", "metrics", "chunk"), [("metrics", True, True), ("openai", False, True), ("none", False, False)]
)
def test_where_a_stream_tells_usage_is_a_setting(start: Any, where: str, metrics: bool, chunk: bool) -> None:
    running = start(imported={"cold_start_seconds": 0, "usage_in_stream": where})
    last = running.stream(
        ARN, messages=[{"role": "user", "content": "hi"}], max_tokens=2, stream_options={"include_usage": True}
    )[-1]
    assert ("amazon-bedrock-invocationMetrics" in last) is metrics
    assert ("usage" in last) is chunk


def test_meta_stream_tells_input_first_and_metrics_last(warm: Running) -> None:
    first, *_, last = warm.stream(BASE, prompt="a b c", max_gen_len=4)
    assert (first["prompt_token_count"], first["generation_token_count"]) == (3, 1)
    assert last["prompt_token_count"] is None
    assert last["stop_reason"] == "length"
    assert last["amazon-bedrock-invocationMetrics"]["inputTokenCount"] == 3
    assert last["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 4


@pytest.mark.parametrize("model", [ARN, BASE, f"us.{BASE}", PROVISIONED])
def test_converse_answers_and_fits_the_service_model(warm: Running, model: str) -> None:
    answer = warm.client.converse(modelId=model, messages=USER, inferenceConfig={"maxTokens": 6})
    assert answer["stopReason"] == "max_tokens"
    assert answer["usage"]["outputTokens"] == 6
    shape = botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("Converse").output_shape
    answer.pop("ResponseMetadata")
    assert not ParamValidator().validate(answer, shape).has_errors()


def test_converse_stream_has_every_event_in_order(warm: Running) -> None:
    answer = warm.client.converse_stream(modelId=BASE, messages=USER, inferenceConfig={"maxTokens": 3})
    events = list(answer["stream"])
    names = [next(iter(event)) for event in events]
    assert names == ["messageStart", *["contentBlockDelta"] * 3, "contentBlockStop", "messageStop", "metadata"]
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 3
    shape = (
        botocore.session.get_session()
        .get_service_model("bedrock-runtime")
        .operation_model("ConverseStream")
        .output_shape.members["stream"]
    )
    for event in events:
        [(name, payload)] = event.items()
        assert not ParamValidator().validate(payload, shape.members[name]).has_errors()


def test_a_foundation_model_answers_to_its_id_profile_and_arns(warm: Running) -> None:
    for model in (
        f"us.{BASE}",
        f"arn:aws:bedrock:us-east-1::foundation-model/{BASE}",
        f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{BASE}",
    ):
        assert warm.invoke(model, prompt="x", max_gen_len=1)["generation"]
    assert warm.bill(BASE)["completed"]["calls"] == 3


def test_token_headers_come_with_foundation_models_only_by_default(warm: Running) -> None:
    base = warm.client.invoke_model(modelId=BASE, body=json.dumps({"prompt": "x y", "max_gen_len": 3}))
    headers = base["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-bedrock-input-token-count"] == "2"
    assert headers["x-amzn-bedrock-output-token-count"] == "3"
    imported = warm.client.invoke_model(modelId=ARN, body=json.dumps({"prompt": "x y", "max_gen_len": 3}))
    assert "x-amzn-bedrock-input-token-count" not in imported["ResponseMetadata"]["HTTPHeaders"]
    assert imported["ResponseMetadata"]["HTTPHeaders"]["x-sandbox-text-source"] == "generator"


def test_stop_sequences_cut_the_text(warm: Running) -> None:
    whole = warm.chat(max_tokens=40)["choices"][0]["message"]["content"]
    stop = whole.split()[4]
    choice = warm.chat(max_tokens=40, stop=[stop])["choices"][0]
    assert choice["message"]["content"] == whole[: whole.index(stop)]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", stop)
    answer = warm.client.converse(
        modelId=ARN,
        messages=[{"role": "user", "content": [{"text": "hi"}]}],
        inferenceConfig={"maxTokens": 40, "stopSequences": [stop]},
    )
    assert answer["stopReason"] == "stop_sequence"


def test_an_answer_that_ends_by_itself_says_stop(start: Any) -> None:
    running = start(imported={"cold_start_seconds": 0}, text={"generator_min_tokens": 3, "generator_max_tokens": 4})
    assert running.chat(max_tokens=400)["choices"][0]["finish_reason"] == "stop"
    assert running.chat(max_tokens=400, ignore_eos=True)["usage"]["completion_tokens"] == 400


def test_logprobs_are_the_generators_own_distribution(warm: Running) -> None:
    content = warm.chat(max_tokens=8, logprobs=True, top_logprobs=20)["choices"][0]["logprobs"]["content"]
    assert len(content) == 8
    for entry in content:
        alternatives = {top["token"]: top["logprob"] for top in entry["top_logprobs"]}
        assert alternatives[entry["token"]] == entry["logprob"]
        assert math.isclose(sum(map(math.exp, alternatives.values())), 1)
    legacy = warm.invoke(ARN, prompt="x", max_tokens=3, logprobs=2)["choices"][0]
    assert "".join(legacy["logprobs"]["tokens"]) == legacy["text"]
    assert len(warm.invoke(ARN, prompt="x", max_gen_len=3, return_logprobs=True)["logprobs"]) == 3


@pytest.mark.parametrize(
    ("model", "body", "told"),
    [
        (ARN, {}, "Available for this model: ChatCompletionRequest, CompletionRequest, BedrockMetaCompletionRequest"),
        (ARN, {"messages": []}, "messages"),
        (ARN, {"messages": CHAT, "tools": [{}]}, "tools"),
        (ARN, {"messages": CHAT, "max_tokens": "5"}, "max_tokens"),
        (
            ARN,
            {"messages": [{"role": "user", "content": "x"}], "response_format": {"type": "json_object"}},
            "response_format",
        ),
        (BASE, {}, "required key [prompt] not found"),
        (BASE, {"prompt": "x", "max_tokens": 5}, "extraneous key [max_tokens]"),
        (BASE, {"prompt": "x", "max_gen_len": 99999}, "max_gen_len"),
        ("no.such-model", {"prompt": "x"}, "model identifier is invalid"),
    ],
)
def test_a_bad_body_is_a_validation_exception_naming_it(
    warm: Running, model: str, body: dict[str, Any], told: str
) -> None:
    with pytest.raises(warm.client.exceptions.ValidationException) as caught:
        warm.invoke(model, **body)
    assert told in str(caught.value)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_probe_with_an_empty_body_wakes_nothing(start: Any) -> None:
    running = start()
    with pytest.raises(ClientError):
        running.invoke(ARN)
    assert running.state(ARN)["state"] == "cold"


def test_only_the_configured_shapes_are_taken(start: Any) -> None:
    running = start(imported={"cold_start_seconds": 0, "body_shapes": ["meta"]})
    assert running.invoke(ARN, prompt="x", max_gen_len=1)["generation"]
    with pytest.raises(ClientError, match=r"Available for this model: BedrockMetaCompletionRequest\."):
        running.chat()


def test_converse_is_refused_for_an_import_without_instruct_support(start: Any) -> None:
    running = start()
    with pytest.raises(running.client.exceptions.ValidationException, match="This action doesn't support the model"):
        running.client.converse(modelId=ARN, messages=USER)


def test_provisioned_throughput_without_units_is_not_found(start: Any) -> None:
    running = start()
    with pytest.raises(running.client.exceptions.ResourceNotFoundException, match="0 model units"):
        running.client.converse(modelId=PROVISIONED, messages=USER)


def test_an_unknown_import_is_not_found(warm: Running) -> None:
    with pytest.raises(warm.client.exceptions.ResourceNotFoundException):
        warm.invoke(ARN[:-1] + "9", prompt="x")
