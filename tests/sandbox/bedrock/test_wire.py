"""Bytes on the wire: framing, paths, signatures, headers."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from urllib.parse import quote

import boto3
import httpx
import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from botocore.exceptions import ClientError

from gateway.sandbox.bedrock import eventstream
from tests.sandbox.bedrock.conftest import ARN, BASE, Running

HEADERS = {"authorization": "Bearer key"}


def frames(data: bytes) -> list[tuple[dict[str, str], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(message.headers, message.payload) for message in buffer]


def test_frames_are_decoded_by_botocore_whole_or_byte_by_byte() -> None:
    dice = random.Random(1)
    sent = [{"text": "".join(dice.choices('aé€😀"\\\n ', k=dice.randint(0, 400)))} for _ in range(50)]
    wire = b"".join(map(eventstream.chunk, sent))
    buffer = EventStreamBuffer()
    got = []
    for at in range(0, len(wire), 7):
        buffer.add_data(wire[at : at + 7])
        got += [json.loads(base64.b64decode(json.loads(message.payload)["bytes"])) for message in buffer]
    assert got == sent


def test_headers_keep_the_wires_order() -> None:
    [(event, _)] = frames(eventstream.event("chunk", {}))
    assert list(event.items()) == [
        (":event-type", "chunk"),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ]
    [(error, payload)] = frames(eventstream.exception("throttlingException", {"message": "slow"}))
    assert error[":message-type"] == "exception"
    assert error[":exception-type"] == "throttlingException"
    assert json.loads(payload) == {"message": "slow"}


def test_a_corrupted_frame_fails_its_checksum() -> None:
    with pytest.raises(ChecksumMismatch):
        frames(eventstream.corrupt(eventstream.chunk({})))


def test_stream_events_are_padded_by_random_lengths(warm: Running) -> None:
    body = {"prompt": "x", "max_gen_len": 40}
    answer = httpx.post(f"{warm.url}/model/{BASE}/invoke-with-response-stream", json=body, headers=HEADERS)
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    assert answer.headers["x-amzn-bedrock-content-type"] == "application/json"
    lengths = {len(json.loads(payload)["p"]) for _, payload in frames(answer.content)}
    assert len(lengths) > 5
    converse = {"messages": [{"role": "user", "content": [{"text": "x"}]}]}
    answer = httpx.post(f"{warm.url}/model/{BASE}/converse-stream", json=converse, headers=HEADERS)
    deltas = [json.loads(p) for head, p in frames(answer.content) if head[":event-type"] == "contentBlockDelta"]
    assert deltas
    assert all(delta["p"] for delta in deltas)


@pytest.mark.parametrize("path", [quote(ARN, safe=""), ARN.replace("/", "%2F"), quote(ARN, safe="").lower()])
def test_an_arn_is_one_segment_however_its_colons_are_written(warm: Running, path: str) -> None:
    answer = httpx.post(f"{warm.url}/model/{path}/invoke", json={"prompt": "x", "max_gen_len": 1}, headers=HEADERS)
    assert answer.status_code == 200
    assert answer.headers["x-amzn-requestid"]


@pytest.mark.parametrize("path", [f"/model/{ARN}/invoke", "/model/x/unknown", "/"])
def test_any_other_path_is_no_operation(warm: Running, path: str) -> None:
    answer = httpx.post(f"{warm.url}{path}", headers=HEADERS)
    assert answer.status_code == 404
    assert answer.headers["x-amzn-errortype"] == "UnknownOperationException"


def test_an_unsigned_request_is_refused(warm: Running) -> None:
    answer = httpx.post(f"{warm.url}/model/{BASE}/invoke", json={"prompt": "x"})
    assert answer.status_code == 403
    assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


def test_half_a_signature_is_refused(warm: Running) -> None:
    answer = httpx.post(
        f"{warm.url}/model/{BASE}/invoke",
        json={"prompt": "x"},
        headers={"authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/bedrock/aws4_request"},
    )
    assert answer.headers["x-amzn-errortype"] == "IncompleteSignatureException"


def test_a_signature_for_another_region_is_refused(warm: Running) -> None:
    elsewhere = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-central-1")
    with pytest.raises(ClientError, match="scoped to us-east-1/bedrock"):
        warm.make_client(elsewhere).invoke_model(modelId=BASE, body=json.dumps({"prompt": "x"}))


@pytest.mark.parametrize("token", [None, "session-token"])
def test_signatures_are_verified_when_credentials_are_set(start: Callable[..., Running], token: str | None) -> None:
    running = start(
        imported={"cold_start_seconds": 0},
        credentials={"access_key_id": "AKID", "secret_access_key": "right", "session_token": token, "bearer_key": "k"},
    )

    def session(key: str, secret: str) -> boto3.Session:
        return boto3.Session(key, secret, token, "us-east-1")

    good = running.make_client(session("AKID", "right"))
    for model in (BASE, ARN):
        assert good.invoke_model(modelId=model, body=json.dumps({"prompt": "x", "max_gen_len": 1}))
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        running.make_client(session("AKID", "wrong")).invoke_model(modelId=ARN, body=json.dumps({"prompt": "x"}))
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        running.make_client(session("OTHER", "right")).invoke_model(modelId=ARN, body=json.dumps({"prompt": "x"}))
    assert httpx.post(f"{running.url}/model/{BASE}/invoke", json={"prompt": "x"}, headers=HEADERS).status_code == 403


def test_unknown_admin_paths_and_bad_clocks_say_what_is_right(warm: Running) -> None:
    answer = httpx.get(f"{warm.url}/_sandbox/nothing")
    assert answer.status_code == 404
    assert "/_sandbox/bill" in answer.json()["message"]
    for bad in ({"advance_seconds": -1}, {"advance_seconds": "x"}, {}):
        assert httpx.post(f"{warm.url}/_sandbox/clock", json=bad).status_code == 400
