"""Errors and faults as botocore meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from botocore.exceptions import BotoCoreError, ClientError, EventStreamError

from gateway.sandbox.bedrock.faults import Fault, Faults
from tests.sandbox.bedrock.conftest import ARN, BASE, Running

PROMPT = json.dumps({"prompt": "x", "max_gen_len": 20})


@pytest.mark.parametrize(
    ("kind", "name", "status"),
    [
        ("throttle", "ThrottlingException", 429),
        ("not_ready", "ModelNotReadyException", 429),
        ("internal", "InternalServerException", 500),
        ("unavailable", "ServiceUnavailableException", 503),
        ("validation", "ValidationException", 400),
        ("model_error", "ModelErrorException", 424),
        ("timeout", "ModelTimeoutException", 408),
    ],
)
@pytest.mark.parametrize(
    "operation", ["invoke_model", "invoke_model_with_response_stream", "converse", "converse_stream"]
)
def test_every_refusal_is_parsed_in_every_operation(
    warm: Running, kind: str, name: str, status: int, operation: str
) -> None:
    warm.fault(kind)
    given: dict[str, Any] = (
        {"messages": [{"role": "user", "content": [{"text": "x"}]}]} if "converse" in operation else {"body": PROMPT}
    )
    with pytest.raises(getattr(warm.client.exceptions, name)) as caught:
        getattr(warm.client, operation)(modelId=BASE, **given)
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["Error"]["Message"]
    assert response["ResponseMetadata"]["RequestId"]
    if kind == "model_error":
        assert response["originalStatusCode"] == 500
    assert warm.state(BASE)["outcomes"] == {name: 1}


@pytest.mark.parametrize(
    "exception",
    [
        "internalServerException",
        "modelStreamErrorException",
        "validationException",
        "throttlingException",
        "modelTimeoutException",
        "serviceUnavailableException",
    ],
)
def test_a_mid_stream_exception_ends_the_stream_with_its_code(warm: Running, exception: str) -> None:
    warm.fault("mid_stream_exception", after_tokens=3, exception=exception)
    answer = warm.client.invoke_model_with_response_stream(modelId=BASE, body=PROMPT)
    events = iter(answer["body"])
    assert len([next(events) for _ in range(3)]) == 3
    with pytest.raises(EventStreamError) as caught:
        next(events)
    assert caught.value.response["Error"]["Code"] == exception
    bill = warm.bill(BASE)
    assert bill["broken"]["output_tokens"] == 3
    assert bill["broken"]["nanousd"] == 220 + 3 * 720
    assert bill["completed"]["calls"] == 0


def test_a_mid_stream_exception_ends_a_converse_stream(warm: Running) -> None:
    warm.fault("mid_stream_exception", after_tokens=1)
    answer = warm.client.converse_stream(modelId=BASE, messages=[{"role": "user", "content": [{"text": "x"}]}])
    with pytest.raises(EventStreamError) as caught:
        list(answer["stream"])
    assert caught.value.response["Error"]["Code"] == "modelStreamErrorException"


def test_a_mid_stream_break_keeps_the_imported_models_window(warm: Running) -> None:
    warm.fault("mid_stream_exception", after_tokens=1)
    answer = warm.client.invoke_model_with_response_stream(modelId=ARN, body=PROMPT)
    with pytest.raises(EventStreamError):
        list(answer["body"])
    assert len(warm.bill(ARN)["windows"]) == 1


def test_a_bad_checksum_is_noticed_by_botocore(warm: Running) -> None:
    warm.fault("bad_crc", after_tokens=2)
    answer = warm.client.invoke_model_with_response_stream(modelId=BASE, body=PROMPT)
    with pytest.raises(Exception, match="Checksum mismatch"):
        list(answer["body"])


def test_garbage_is_not_taken_for_an_answer(warm: Running) -> None:
    warm.fault("garbage", count=2)
    body = warm.client.invoke_model(modelId=BASE, body=PROMPT)["body"].read()
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    answer = warm.client.invoke_model_with_response_stream(modelId=BASE, body=PROMPT)
    with pytest.raises(Exception, match="Checksum mismatch"):
        list(answer["body"])


def test_a_dropped_connection_before_any_byte(warm: Running) -> None:
    warm.fault("close")
    with pytest.raises(BotoCoreError, match=r"closed|reset"):
        warm.client.invoke_model(modelId=BASE, body=PROMPT)
    assert warm.state(BASE)["cancelled"] == 0


def test_a_dropped_connection_in_a_stream(warm: Running) -> None:
    warm.fault("close", after_tokens=2)
    answer = warm.client.invoke_model_with_response_stream(modelId=BASE, body=PROMPT)
    with pytest.raises(Exception, match=r"(?i)incomplete|broken|reset|closed|prematurely"):
        list(answer["body"])
    assert warm.bill(BASE)["broken"]["output_tokens"] == 2


def test_a_hanging_call_ends_when_the_client_gives_up(warm: Running) -> None:
    warm.fault("hang")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{warm.url}/model/{BASE}/invoke", content=PROMPT, headers={"authorization": "Bearer key"}, timeout=0.3
        )


def test_a_slow_model_is_slower_by_the_factor(start: Callable[..., Running]) -> None:
    running = start(base={"tokens_per_second": 1000, "first_token_seconds": 0.01})
    running.fault("slow", factor=20, count=1)
    body = {"prompt": "x", "max_gen_len": 11}
    metrics = running.stream(BASE, **body)[-1]["amazon-bedrock-invocationMetrics"]
    assert metrics["firstByteLatency"] >= 190
    assert metrics["invocationLatency"] >= 390


def test_faults_hit_the_named_model_as_often_as_told_and_can_be_cleared(warm: Running) -> None:
    warm.fault("internal", model=BASE, count=2)
    assert warm.chat(max_tokens=1)
    for _ in range(2):
        with pytest.raises(ClientError):
            warm.invoke(BASE, prompt="x")
    assert warm.invoke(BASE, prompt="x", max_gen_len=1)
    warm.fault("internal", count=None)
    warm.admin("DELETE", "/faults")
    assert warm.invoke(BASE, prompt="x", max_gen_len=1)


def test_a_fault_of_an_unknown_kind_or_model_is_refused(warm: Running) -> None:
    for bad in ({"kind": "nonsense"}, {"kind": "slow", "model": "nobody"}, {"kind": "slow", "speed": 1}):
        assert httpx.post(f"{warm.url}/_sandbox/faults", json=bad).status_code == 400


def test_probability_hits_that_share_of_calls() -> None:
    faults = Faults((Fault(kind="internal", count=None, probability=0.25),), seed=7)
    hits = sum(faults.take("m", streamed=False) is not None for _ in range(2000))
    assert 400 < hits < 600


def test_faults_of_the_settings_are_in_force_from_the_start(start: Callable[..., Running]) -> None:
    running = start(faults=[{"kind": "unavailable"}])
    with pytest.raises(running.client.exceptions.ServiceUnavailableException):
        running.invoke(BASE, prompt="x")


def test_requests_beyond_the_quota_are_throttled(start: Callable[..., Running]) -> None:
    running = start(base={"throttle": {"requests_per_minute": 2}})
    for _ in range(2):
        running.invoke(BASE, prompt="x", max_gen_len=1)
    with pytest.raises(running.client.exceptions.ThrottlingException, match="2 per minute"):
        running.invoke(BASE, prompt="x", max_gen_len=1)
