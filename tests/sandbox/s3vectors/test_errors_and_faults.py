"""Signatures, errors on request, and the bounds of the stand-in itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from gateway.sandbox.s3vectors.errors import STATUSES
from gateway.sandbox.s3vectors.faults import REFUSALS, VectorsFault, VectorsFaults
from tests.sandbox.s3vectors.conftest import SIGNED, Place, Running, settings


def raw(sandbox: Running, body: bytes, operation: str = "ListVectorBuckets") -> httpx.Response:
    return httpx.post(f"{sandbox.url}/{operation}", content=body, headers=SIGNED)


@pytest.fixture
def one_index(start: Callable[..., Running]) -> Callable[..., tuple[Running, Place]]:
    """Another sandbox with settings of its own, and an index in it."""

    def made(**changes: Any) -> tuple[Running, Place]:
        running = start(**changes)
        place = Place(running.client("s3vectors"), "bucket")
        place.client.create_vector_bucket(vectorBucketName="bucket")
        place.client.create_index(**place.where, dataType="float32", dimension=2, distanceMetric="cosine")
        return running, place

    return made


@pytest.mark.parametrize("kind", REFUSALS)
def test_every_error_on_request_is_the_one_that_boto3_knows(sandbox: Running, client: Any, kind: str) -> None:
    name, _ = REFUSALS[kind]
    sandbox.fault(kind, operation="ListVectorBuckets")
    with pytest.raises(getattr(client.exceptions, name), match="fault injected") as caught:
        client.list_vector_buckets()
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == STATUSES[name]
    assert response["ResponseMetadata"]["RequestId"]
    client.list_vector_buckets()


def test_statuses_are_those_of_the_service_model(client: Any) -> None:
    model = client.meta.service_model
    for shape in model.error_shapes:
        # ValidationException is 400 by its kind, which the model leaves unsaid.
        assert STATUSES[shape.name] == shape.metadata.get("error", {}).get("httpStatusCode", 400)


def test_a_fault_hits_the_named_operation_as_often_as_told_and_can_be_cleared(sandbox: Running, client: Any) -> None:
    sandbox.fault("throttle", operation="GetIndex", count=2)
    client.list_vector_buckets()
    for _ in range(2):
        with pytest.raises(client.exceptions.TooManyRequestsException):
            client.get_index(vectorBucketName="one", indexName="two")
    with pytest.raises(client.exceptions.NotFoundException):
        client.get_index(vectorBucketName="one", indexName="two")
    sandbox.fault("internal", count=None)
    sandbox.admin("DELETE", "/s3vectors/faults")
    client.list_vector_buckets()


def test_a_fault_of_an_unknown_kind_or_operation_is_refused(sandbox: Running) -> None:
    for bad in ({"kind": "nonsense"}, {"kind": "slow", "operation": "Nothing"}, {"kind": "slow", "minutes": 1}):
        assert httpx.post(f"{sandbox.url}/_sandbox/s3vectors/faults", json=bad).status_code == 400


def test_probability_hits_that_share_of_requests() -> None:
    faults = VectorsFaults((VectorsFault(kind="internal", count=None, probability=0.25),), seed=7)
    assert 400 < sum(faults.take("GetIndex") is not None for _ in range(2000)) < 600


def test_an_answer_can_be_dropped_garbled_late_or_never_come(sandbox: Running, client: Any) -> None:
    sandbox.fault("close", operation="ListVectorBuckets")
    with pytest.raises(BotoCoreError, match=r"closed|reset"):
        client.list_vector_buckets()
    sandbox.fault("garbage", operation="ListVectorBuckets")
    assert "vectorBuckets" not in client.list_vector_buckets()  # botocore takes what it cannot read for a message
    sandbox.fault("slow", operation="ListVectorBuckets", seconds=0.2)
    assert raw(sandbox, b"{}").elapsed.total_seconds() >= 0.2
    sandbox.fault("hang", operation="ListVectorBuckets")
    with pytest.raises((httpx.ReadTimeout, ReadTimeoutError)):
        httpx.post(f"{sandbox.url}/ListVectorBuckets", content=b"{}", headers=SIGNED, timeout=0.2)


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[]", b"1", b"[" * 200_000])
def test_a_body_that_is_no_json_object_is_told(sandbox: Running, body: bytes) -> None:
    answer = raw(sandbox, body)
    assert answer.status_code == 400
    assert answer.headers["x-amzn-errortype"] == "SerializationException"
    assert answer.headers["x-sandbox-store"] == "memory"


def test_a_body_of_20_mebibytes_is_read_and_a_longer_one_refused(sandbox: Running) -> None:
    limit = 20 * 1024 * 1024
    assert raw(sandbox, b"{}".ljust(limit)).status_code == 200
    answer = raw(sandbox, b"{}".ljust(limit + 1))
    assert answer.headers["x-amzn-errortype"] == "ValidationException"
    assert str(limit) in answer.json()["message"]


@pytest.mark.parametrize("call", [("GET", "/ListVectorBuckets"), ("POST", "/InventVectors"), ("PUT", "/tags/x")])
def test_any_other_path_is_no_operation(sandbox: Running, call: tuple[str, str]) -> None:
    answer = httpx.request(call[0], sandbox.url + call[1], headers=SIGNED)
    assert answer.status_code == 404
    assert answer.headers["x-amzn-errortype"] == "UnknownOperationException"


def test_requests_must_be_signed_for_this_service(sandbox: Running) -> None:
    url = f"{sandbox.url}/ListVectorBuckets"
    assert httpx.post(url).headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
    key = httpx.post(url, headers={"authorization": "Bearer key"})
    assert (key.status_code, key.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
    other = {**SIGNED, "authorization": SIGNED["authorization"].replace("/s3vectors/", "/bedrock/")}
    assert "scoped to us-east-1/s3vectors" in httpx.post(url, headers=other).json()["message"]


def test_signatures_are_verified_when_credentials_are_set(start: Callable[..., Running]) -> None:
    running = start(credentials={"access_key_id": "AKID", "secret_access_key": "right"})

    def client(secret: str) -> Any:
        return running.client("s3vectors", boto3.Session("AKID", secret, region_name="us-east-1"))

    good = client("right")
    arn = good.create_vector_bucket(vectorBucketName="bucket")["vectorBucketArn"]
    good.tag_resource(resourceArn=arn, tags={"a b": "c"})
    good.untag_resource(resourceArn=arn, tagKeys=["a b", "c/d"])
    assert good.list_tags_for_resource(resourceArn=arn)["tags"] == {}
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        client("wrong").list_vector_buckets()


def test_without_get_vectors_neither_filters_nor_metadata_are_allowed(
    one_index: Callable[..., tuple[Running, Place]],
) -> None:
    _, place = one_index(vectors={"denied_actions": ["GetVectors"]})
    place.put({"k": [1.0, 0.0]})
    query = {"topK": 1, "queryVector": {"float32": [1.0, 0.0]}}
    assert place.keys(**query, returnDistance=True) == ["k"]
    assert place.client.list_vectors(**place.where)["vectors"] == [{"key": "k"}]
    for call in (
        lambda: place.query(**query, returnMetadata=True),
        lambda: place.query(**query, filter={"a": 1}),
        lambda: place.client.list_vectors(**place.where, returnData=True),
        lambda: place.client.get_vectors(**place.where, keys=["k"]),
    ):
        with pytest.raises(place.client.exceptions.AccessDeniedException, match="s3vectors:GetVectors") as caught:
            call()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_memory_is_bounded_and_freed(one_index: Callable[..., tuple[Running, Place]]) -> None:
    running, place = one_index(vectors={"max_bytes": 60})
    for _ in range(3):  # overwriting takes no more room
        place.put({"a": [1.0, 0.0], "b": [1.0, 0.0]}, {"a": {"n": 1}})
    with pytest.raises(place.client.exceptions.ServiceQuotaExceededException, match=r"s3vectors\.max_bytes") as caught:
        place.put({"c": [1.0, 0.0], "d": [1.0, 0.0], "e": [1.0, 0.0]})
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 402
    held = running.admin("GET", "/s3vectors")["bytes_held"]
    assert held == (8 + len('{"n": 1}') + 1) + (8 + len("{}") + 1)
    place.client.delete_vectors(**place.where, keys=["a"])
    place.put({"c": [1.0, 0.0]})
    place.client.delete_index(**place.where)
    assert running.admin("GET", "/s3vectors")["bytes_held"] == 0


def test_writes_beyond_the_rate_are_throttled(one_index: Callable[..., tuple[Running, Place]]) -> None:
    _, place = one_index(vectors={"vectors_per_second": 3})
    place.put({"a": [1.0, 0.0], "b": [1.0, 0.0]})
    with pytest.raises(place.client.exceptions.TooManyRequestsException, match="More than 3 vectors") as caught:
        place.client.delete_vectors(**place.where, keys=["a", "b"])
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    place.put({"c": [1.0, 0.0]})


def test_reset_forgets_every_bucket(one_index: Callable[..., tuple[Running, Place]]) -> None:
    running, place = one_index()
    assert place.client.list_vector_buckets()["vectorBuckets"]
    running.admin("POST", "/reset")
    assert place.client.list_vector_buckets()["vectorBuckets"] == []
    assert json.dumps(running.admin("GET", "/state")["s3vectors"])


@pytest.mark.parametrize(
    "given",
    [{"denied_actions": ["GetVector"]}, {"faults": [{"kind": "throttle", "operation": "QueryVector"}]}],
)
def test_settings_that_name_an_operation_which_is_none_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown operations: (Get|Query)Vector\. Known: CreateIndex"):
        settings(vectors=given)


@pytest.mark.parametrize("position", ["abc", True, 1.5, None, [1]])
def test_a_token_that_somebody_made_is_refused_and_breaks_nothing(
    one_index: Callable[..., tuple[Running, Place]], position: Any
) -> None:
    _, place = one_index()
    place.put({"k": [1.0, 0.0]})
    of = [place.client.get_index(**place.where)["index"]["indexArn"], None, None]
    for token_of, ask in (
        (of, lambda token: place.client.list_vectors(**place.where, nextToken=token)),
        (["buckets", ""], lambda token: place.client.list_vector_buckets(nextToken=token)),
    ):
        if (position, token_of) == ("abc", ["buckets", ""]):
            continue  # a name is what a list of names goes on from
        token = base64.urlsafe_b64encode(json.dumps([position, *token_of]).encode()).decode()
        with pytest.raises(place.client.exceptions.ValidationException, match="Invalid nextToken"):
            ask(token)
