"""Buckets, indexes, policies, tags and modes, as boto3 sees them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from gateway.sandbox.s3vectors.service import OPERATIONS
from tests.sandbox.s3vectors.conftest import ACCOUNT, Place, Running

PREFIX = f"arn:aws:s3vectors:us-east-1:{ACCOUNT}:bucket/"
KMS = "arn:aws:kms:us-east-1:123456789012:key/1234abcd"
MODEL = botocore.session.get_session().get_service_model("s3vectors")


def fits(operation: str, answer: dict[str, Any]) -> bool:
    """Whether an answer has what the service model requires, in the right types."""
    content = {key: value for key, value in answer.items() if key != "ResponseMetadata"}
    shape = MODEL.operation_model(operation).output_shape
    return not ParamValidator().validate(content, shape).has_errors()


def test_every_operation_of_the_installed_service_model_is_served() -> None:
    assert set(MODEL.operation_names) == OPERATIONS


def test_a_bucket_from_its_making_to_its_end(client: Any) -> None:
    made = client.create_vector_bucket(vectorBucketName="life-of-a-bucket")
    assert made["vectorBucketArn"] == PREFIX + "life-of-a-bucket"
    for name in ({"vectorBucketName": "life-of-a-bucket"}, {"vectorBucketArn": made["vectorBucketArn"]}):
        answer = client.get_vector_bucket(**name)
        assert fits("GetVectorBucket", answer)
        bucket = answer["vectorBucket"]
        assert bucket["encryptionConfiguration"] == {"sseType": "AES256"}
        assert bucket["defaultIndexMode"] == "ENHANCED"
        assert datetime.now(UTC) - bucket["creationTime"] < timedelta(minutes=5)
    with pytest.raises(client.exceptions.ConflictException, match="already exists") as caught:
        client.create_vector_bucket(vectorBucketName="life-of-a-bucket")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
    client.delete_vector_bucket(vectorBucketArn=made["vectorBucketArn"])
    with pytest.raises(client.exceptions.NotFoundException, match="specified vector bucket could not be found"):
        client.get_vector_bucket(vectorBucketName="life-of-a-bucket")


@pytest.mark.parametrize("name", ["Upper", "-dash", "dash-", "under_score", "a.b", "späße"])
def test_a_buckets_name_is_small_letters_digits_and_hyphens(client: Any, name: str) -> None:
    with pytest.raises(client.exceptions.ValidationException, match="Invalid vector bucket name"):
        client.create_vector_bucket(vectorBucketName=name)


@pytest.mark.parametrize("name", ["ab", "a" * 64])
def test_a_buckets_name_has_3_to_63_characters(client: Any, name: str) -> None:
    with pytest.raises(client.exceptions.ValidationException) as caught:
        client.create_vector_bucket(vectorBucketName=name)
    told = (
        f"Value with length {len(name)} at '/vectorBucketName' failed to satisfy constraint: "
        "Member must have length between 3 and 63, inclusive"
    )
    assert caught.value.response["Error"]["Message"] == f"1 validation error detected. {told}"
    assert caught.value.response["fieldList"] == [{"path": "/vectorBucketName", "message": told}]


def test_a_bucket_with_an_index_is_not_deleted(make: Callable[..., Place]) -> None:
    place = make()
    with pytest.raises(place.client.exceptions.ConflictException, match="is not empty"):
        place.client.delete_vector_bucket(vectorBucketName=place.bucket)
    place.client.delete_index(**place.where)
    place.client.delete_vector_bucket(vectorBucketName=place.bucket)


def test_an_index_tells_how_it_was_made(make: Callable[..., Place]) -> None:
    place = make(
        dimension=1024,
        metadataConfiguration={
            "nonFilterableMetadataKeys": ["text", "source"],
            "textSearchConfigurations": [{"metadataKey": "text", "language": "en"}, {"metadataKey": "title"}],
        },
    )
    for name in (place.where, {"indexArn": place.arn}):
        answer = place.client.get_index(**name)
        assert fits("GetIndex", answer)
        index = answer["index"]
        assert index.pop("creationTime")
        assert index == {
            "vectorBucketName": place.bucket,
            "indexName": "pages",
            "indexArn": place.arn,
            "dataType": "float32",
            "dimension": 1024,
            "distanceMetric": "cosine",
            "indexMode": "ENHANCED",
            "encryptionConfiguration": {"sseType": "AES256"},
            "metadataConfiguration": {
                "nonFilterableMetadataKeys": ["text", "source"],
                "textSearchConfigurations": [
                    {"metadataKey": "text", "language": "en", "status": "ACTIVE"},
                    {"metadataKey": "title", "status": "ACTIVE"},
                ],
            },
        }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dimension": 0}, "'/dimension' failed to satisfy constraint: Member must be between 1 and 4096, inclusive"),
        ({"dimension": 4097}, "Member must be between 1 and 4096, inclusive"),
        ({"dimension": None}, "'/dimension' failed to satisfy constraint: Member must not be null"),
        ({"dataType": "int8"}, "Member must satisfy enum value set: [float32]"),
        ({"distanceMetric": "dot"}, "Member must satisfy enum value set: [euclidean, cosine]"),
        ({"indexName": "ab"}, "Member must have length between 3 and 63, inclusive"),
        ({"indexName": "Not_Lower"}, "Invalid index name"),
        (
            {"metadataConfiguration": {"nonFilterableMetadataKeys": [f"k{n}" for n in range(11)]}},
            "Value with length 11 at '/metadataConfiguration/nonFilterableMetadataKeys'",
        ),
        ({"metadataConfiguration": {"nonFilterableMetadataKeys": ["k" * 64]}}, "between 1 and 63, inclusive"),
        ({"metadataConfiguration": {"nonFilterableMetadataKeys": ["k", "k"]}}, "given twice"),
        ({"encryptionConfiguration": {"sseType": "aws:kms"}}, "if and only if sseType is aws:kms"),
        ({"encryptionConfiguration": {"sseType": "AES256", "kmsKeyArn": KMS}}, "if and only if sseType is aws:kms"),
        ({"encryptionConfiguration": {"sseType": "aws:kms", "kmsKeyArn": "key"}}, "regular expression pattern"),
    ],
    ids=str,
)
def test_an_index_that_cannot_be_made_says_why(client: Any, change: dict[str, Any], told: str) -> None:
    good = {"vectorBucketName": "nowhere", "indexName": "one", "dimension": 2, "distanceMetric": "cosine"}
    client.create_vector_bucket(vectorBucketName="nowhere")
    try:
        with pytest.raises(client.exceptions.ValidationException) as caught:
            client.create_index(
                **{key: v for key, v in (good | {"dataType": "float32"} | change).items() if v is not None}
            )
        assert told in caught.value.response["Error"]["Message"]
    finally:
        client.delete_vector_bucket(vectorBucketName="nowhere")


def test_every_violation_is_told_at_once(client: Any) -> None:
    with pytest.raises(client.exceptions.ValidationException, match="2 validation errors detected") as caught:
        client.create_index(
            vectorBucketName="nowhere", indexName="one", dataType="float32", dimension=5000, distanceMetric="x"
        )
    assert [field["path"] for field in caught.value.response["fieldList"]] == ["/dimension", "/distanceMetric"]


def test_a_second_index_of_a_name_conflicts_and_an_unknown_bucket_is_not_found(make: Callable[..., Place]) -> None:
    place = make()
    given = {"dataType": "float32", "dimension": 2, "distanceMetric": "cosine"}
    with pytest.raises(place.client.exceptions.ConflictException, match="already exists"):
        place.client.create_index(**place.where, **given)
    with pytest.raises(place.client.exceptions.NotFoundException, match="vector bucket could not be found"):
        place.client.create_index(vectorBucketName="no-such-bucket", indexName="one", **given)
    by_arn = place.client.create_index(vectorBucketArn=PREFIX + place.bucket, indexName="second", **given)
    assert by_arn["indexArn"] == f"{PREFIX}{place.bucket}/index/second"


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"vectorBucketName": "one"},
        {"indexName": "pages"},
        {"vectorBucketName": "one", "indexName": "pages", "indexArn": PREFIX + "one/index/pages"},
        {"indexName": "pages", "indexArn": PREFIX + "one/index/pages"},
    ],
    ids=str,
)
def test_an_index_is_named_by_its_arn_or_by_both_names(client: Any, named: dict[str, str]) -> None:
    with pytest.raises(
        client.exceptions.ValidationException, match="either indexArn or both vectorBucketName and indexName"
    ):
        client.get_index(**named)


@pytest.mark.parametrize("named", [{}, {"vectorBucketName": "one", "vectorBucketArn": PREFIX + "one"}], ids=str)
def test_a_bucket_is_named_by_its_name_or_its_arn(client: Any, named: dict[str, str]) -> None:
    with pytest.raises(client.exceptions.ValidationException, match="but not both"):
        client.list_indexes(**named)


@pytest.mark.parametrize(
    "named",
    [
        {"vectorBucketName": "no-such-bucket", "indexName": "pages"},
        {"indexArn": PREFIX + "no-such-bucket/index/pages"},
        {"indexArn": "arn:aws:s3vectors:eu-central-1:123456789012:bucket/one/index/pages"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("get_index", {}),
        ("delete_index", {}),
        ("put_vectors", {"vectors": [{"key": "k", "data": {"float32": [1.0]}}]}),
        ("get_vectors", {"keys": ["k"]}),
        ("delete_vectors", {"keys": ["k"]}),
        ("list_vectors", {}),
        ("query_vectors", {"topK": 1, "queryVector": {"float32": [1.0]}}),
        ("update_index_mode", {"indexMode": "ENHANCED"}),
    ],
)
def test_an_index_that_is_not_there_is_not_found(
    client: Any, operation: str, more: dict[str, Any], named: dict[str, str]
) -> None:
    with pytest.raises(client.exceptions.NotFoundException, match="The specified index could not be found") as caught:
        getattr(client, operation)(**named, **more)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_buckets_and_indexes_are_listed_in_pages_and_by_prefix(client: Any, make: Callable[..., Place]) -> None:
    names = [f"listed-{letter}-bucket" for letter in "abcde"]
    for name in names:
        client.create_vector_bucket(vectorBucketName=name)
    pages = list(client.get_paginator("list_vector_buckets").paginate(prefix="listed-", maxResults=2))
    assert [len(page["vectorBuckets"]) for page in pages] == [2, 2, 1]
    assert all(fits("ListVectorBuckets", page) for page in pages)
    assert "nextToken" not in pages[-1]
    assert [bucket["vectorBucketName"] for page in pages for bucket in page["vectorBuckets"]] == names

    place = make()
    for name in ("other", "pages-2", "pages-3"):
        client.create_index(
            vectorBucketName=place.bucket, indexName=name, dataType="float32", dimension=1, distanceMetric="euclidean"
        )
    first = client.list_indexes(vectorBucketName=place.bucket, prefix="pages", maxResults=2)
    assert fits("ListIndexes", first)
    rest = client.list_indexes(
        vectorBucketArn=PREFIX + place.bucket, prefix="pages", maxResults=2, nextToken=first["nextToken"]
    )
    assert [index["indexName"] for page in (first, rest) for index in page["indexes"]] == [
        "pages",
        "pages-2",
        "pages-3",
    ]
    assert len(client.list_indexes(vectorBucketName=place.bucket)["indexes"]) == 4
    for bad in ("nonsense", first["nextToken"]):
        with pytest.raises(client.exceptions.ValidationException, match="Invalid nextToken"):
            client.list_indexes(vectorBucketName=place.bucket, prefix="other", nextToken=bad)
    with pytest.raises(client.exceptions.ValidationException, match="between 1 and 500"):
        client.list_vector_buckets(maxResults=501)


def test_a_new_bucket_is_enhanced_and_stays_so(make: Callable[..., Place]) -> None:
    place = make()
    for change in (
        lambda: place.client.update_index_mode(**place.where, indexMode="CLASSIC"),
        lambda: place.client.put_vector_bucket_default_index_mode(
            vectorBucketName=place.bucket, defaultIndexMode="CLASSIC"
        ),
    ):
        with pytest.raises(place.client.exceptions.ValidationException, match="before September 30, 2026"):
            change()
    place.client.update_index_mode(**place.where, indexMode="ENHANCED")


def test_an_old_buckets_indexes_are_classic_until_they_are_changed(make: Callable[..., Place]) -> None:
    place = make(bucket="classic-")
    client = place.client

    def mode(name: str) -> str:
        return client.get_index(vectorBucketName=place.bucket, indexName=name)["index"]["indexMode"]

    made = client.get_vector_bucket(vectorBucketName=place.bucket)["vectorBucket"]
    assert made["defaultIndexMode"] == "CLASSIC"
    assert made["creationTime"] < datetime(2026, 9, 30, tzinfo=UTC)
    client.put_vector_bucket_default_index_mode(vectorBucketName=place.bucket, defaultIndexMode="ENHANCED")
    client.create_index(
        vectorBucketName=place.bucket, indexName="later", dataType="float32", dimension=1, distanceMetric="cosine"
    )
    assert (mode("pages"), mode("later")) == ("CLASSIC", "ENHANCED")
    client.update_index_mode(**place.where, indexMode="ENHANCED")
    assert mode("pages") == "ENHANCED"
    client.update_index_mode(indexArn=place.arn, indexMode="CLASSIC")
    assert mode("pages") == "CLASSIC"


def test_searchable_keys_are_added_and_removed(make: Callable[..., Place]) -> None:
    place = make()
    client = place.client

    def update(**change: Any) -> Any:
        return client.update_metadata_configuration(**place.where, **change)

    assert update(add={"textSearchConfigurations": [{"metadataKey": "text", "language": "en"}]})["indexArn"]
    assert client.get_index(**place.where)["index"]["metadataConfiguration"] == {
        "textSearchConfigurations": [{"metadataKey": "text", "language": "en", "status": "ACTIVE"}]
    }
    with pytest.raises(client.exceptions.ConflictException, match="configured already"):
        update(add={"textSearchConfigurations": [{"metadataKey": "text"}]})
    with pytest.raises(client.exceptions.ValidationException, match="either add or delete"):
        update()
    with pytest.raises(client.exceptions.NotFoundException):
        update(delete={"textSearchConfigurations": [{"metadataKey": "title"}]})
    update(delete={"textSearchConfigurations": [{"metadataKey": "text"}]})
    assert "metadataConfiguration" not in client.get_index(**place.where)["index"]
    ten = [{"metadataKey": f"k{n}"} for n in range(10)]
    update(add={"textSearchConfigurations": ten})
    with pytest.raises(client.exceptions.ServiceQuotaExceededException, match="at most 10"):
        update(add={"textSearchConfigurations": [{"metadataKey": "one-more"}]})
    classic = make(bucket="classic-")
    with pytest.raises(client.exceptions.ValidationException, match="ENHANCED"):
        client.update_metadata_configuration(
            **classic.where, add={"textSearchConfigurations": [{"metadataKey": "text"}]}
        )


def test_a_policy_is_kept_and_given_back(make: Callable[..., Place]) -> None:
    place = make()
    client, name = place.client, {"vectorBucketName": place.bucket}
    with pytest.raises(client.exceptions.NotFoundException, match="policy could not be found"):
        client.get_vector_bucket_policy(**name)
    with pytest.raises(client.exceptions.ValidationException, match="valid JSON"):
        client.put_vector_bucket_policy(**name, policy="{")
    client.put_vector_bucket_policy(**name, policy='{"Version": "2012-10-17", "Statement": []}')
    assert client.get_vector_bucket_policy(**name)["policy"] == '{"Version": "2012-10-17", "Statement": []}'
    client.delete_vector_bucket_policy(**name)
    with pytest.raises(client.exceptions.NotFoundException):
        client.get_vector_bucket_policy(**name)


def test_tags_belong_to_a_bucket_or_an_index(make: Callable[..., Place]) -> None:
    place = make(tags={"team": "lab"})
    client = place.client
    bucket = PREFIX + place.bucket
    assert client.list_tags_for_resource(resourceArn=place.arn)["tags"] == {"team": "lab"}
    client.tag_resource(resourceArn=place.arn, tags={"team": "späße", "stage": "test"})
    client.untag_resource(resourceArn=place.arn, tagKeys=["stage", "absent"])
    assert client.list_tags_for_resource(resourceArn=place.arn)["tags"] == {"team": "späße"}
    assert client.list_tags_for_resource(resourceArn=bucket)["tags"] == {}
    with pytest.raises(client.exceptions.ValidationException, match="at most 50 tags"):
        client.tag_resource(resourceArn=bucket, tags={f"k{n}": "v" for n in range(51)})
    with pytest.raises(client.exceptions.NotFoundException):
        client.list_tags_for_resource(resourceArn=PREFIX + "no-such-bucket")


def test_the_sandbox_tells_what_it_holds(sandbox: Running, make: Callable[..., Place]) -> None:
    place = make()
    place.put({"a": [1.0, 0.0]})
    told = sandbox.admin("GET", "/s3vectors")
    assert told["simulated"] is True
    assert told["buckets"][place.bucket] == {"pages": {"vectors": 1, "dimension": 2, "mode": "ENHANCED"}}
    assert told["requests"]["PutVectors"] >= 1
