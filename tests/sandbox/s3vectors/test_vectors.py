"""Writing, reading, listing and deleting vectors, and the limits on each."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.sandbox.s3vectors.conftest import SIGNED, Place, Running


@pytest.fixture(scope="module")
def place(make: Callable[..., Place]) -> Place:
    return make(metadataConfiguration={"nonFilterableMetadataKeys": ["bulk"]})


def record(key: str = "k", values: Any = (1.0, 0.0), metadata: Any = None) -> dict[str, Any]:
    made: dict[str, Any] = {"key": key, "data": {"float32": list(values)}}
    return made if metadata is None else {**made, "metadata": metadata}


def refused(place: Place, *records: dict[str, Any]) -> dict[str, Any]:
    """The error of a PutVectors that must fail."""
    with pytest.raises(place.client.exceptions.ValidationException) as caught:
        place.client.put_vectors(**place.where, vectors=list(records))
    return caught.value.response


def test_a_vector_is_read_as_float32_with_what_was_asked_for(make: Callable[..., Place]) -> None:
    place = make()
    metadata = {"s": "späße", "n": 1, "x": 0.5, "yes": True, "list": ["a", "b"], "numbers": [1, 2.5]}
    place.put({"k": [0.1, -2.0]}, {"k": metadata})
    get = place.client.get_vectors
    assert get(**place.where, keys=["k"])["vectors"] == [{"key": "k"}]
    [vector] = get(indexArn=place.arn, keys=["k"], returnData=True, returnMetadata=True)["vectors"]
    assert vector["metadata"] == metadata
    assert vector["data"]["float32"] == [0.10000000149011612, -2.0]


def test_a_write_takes_the_place_of_the_whole_vector_and_is_seen_at_once(make: Callable[..., Place]) -> None:
    place = make()
    place.put({"k": [1.0, 0.0]}, {"k": {"first": 1}})
    place.put({"k": [0.0, 1.0]}, {"k": {"second": 2}})
    answer = place.client.get_vectors(**place.where, keys=["k"], returnData=True, returnMetadata=True)
    assert answer["vectors"] == [{"key": "k", "data": {"float32": [0.0, 1.0]}, "metadata": {"second": 2}}]
    assert place.keys(topK=5, queryVector={"float32": [0.0, 1.0]}) == ["k"]


def test_keys_that_are_not_there_are_left_out_and_deleting_them_is_no_error(make: Callable[..., Place]) -> None:
    place = make()
    place.put({"a": [1.0, 0.0], "b": [1.0, 1.0]})
    client = place.client
    answer = client.get_vectors(**place.where, keys=["b", "absent", "a"], returnMetadata=True)
    assert answer["vectors"] == [{"key": "b", "metadata": {}}, {"key": "a", "metadata": {}}]
    client.delete_vectors(**place.where, keys=["a", "absent"])
    assert client.get_vectors(**place.where, keys=["a", "b"])["vectors"] == [{"key": "b"}]


def test_one_bad_record_refuses_them_all(make: Callable[..., Place]) -> None:
    place = make()
    refused(place, record("good"), record("bad", (1.0,)))
    assert place.client.list_vectors(**place.where)["vectors"] == []


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((1.0,), "vector must have length 2, but has length 1"),
        ((1.0, 2.0, 3.0), "vector must have length 2, but has length 3"),
        ((0.0, 0.0), "zero norm"),
        ((1e-60, 0.0), "zero norm"),
        ((float("nan"), 1.0), "finite"),
        ((float("inf"), 1.0), "finite"),
        ((1.0, float("-inf")), "finite"),
        ((1e39, 1.0), "finite"),
    ],
    ids=str,
)
def test_values_are_finite_float32_of_the_indexs_dimension(place: Place, values: Any, told: str) -> None:
    response = refused(place, record("good"), record("bad", values))
    assert response["Error"]["Message"].startswith("Invalid record for key 'bad': ")
    assert told in response["Error"]["Message"]
    assert response["fieldList"][0]["path"] == "vectors[1].data"


def test_a_zero_vector_is_a_vector_where_distances_are_euclidean(make: Callable[..., Place]) -> None:
    place = make(metric="euclidean")
    place.put({"zero": [0.0, 0.0]})
    assert place.keys(topK=1, queryVector={"float32": [0.0, 0.0]}) == ["zero"]


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"a": None}, "Metadata values must be strings, numbers, booleans, or arrays"),
        ({"a": {"b": 1}}, "Metadata values must be strings, numbers, booleans, or arrays"),
        ({"a": []}, "Empty arrays are not allowed in metadata"),
        ({"a": [{"b": 1}]}, "Metadata array values must be strings or numbers"),
        ({"a": [True]}, "Metadata array values must be strings or numbers"),
        ({"a": ["x", 1]}, "Metadata array values must be strings or numbers"),
        ({"bulk": []}, "Empty arrays are not allowed in metadata"),
        ({f"k{n}": n for n in range(51)}, "at most 50 keys"),
        ("text", "must be a JSON object"),
    ],
    ids=str,
)
def test_metadata_is_flat_and_each_list_is_of_one_kind(place: Place, metadata: Any, told: str) -> None:
    response = refused(place, record("k", metadata=metadata))
    assert response["Error"]["Message"].startswith("Invalid record for key 'k': ")
    assert told in response["Error"]["Message"]
    assert response["fieldList"][0]["path"] == "vectors[0].metadata"
    assert told in response["fieldList"][0]["message"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"": "x"},
        {"$eq": "x"},
        {"a.b": 1},
        {"k" * 1024: 1},
        {"a": [""]},
        {"a": ["x", "x"]},
        {f"k{n}": n for n in range(50)},
    ],
    ids=lambda metadata: json.dumps(metadata)[:20],
)
def test_any_name_will_do_for_a_key_of_metadata(place: Place, metadata: dict[str, Any]) -> None:
    place.put({"k": [1.0, 0.0]}, {"k": metadata})
    [vector] = place.client.get_vectors(**place.where, keys=["k"], returnMetadata=True)["vectors"]
    assert vector["metadata"] == metadata


@pytest.mark.parametrize(
    ("key", "largest", "told"),
    [
        ("f", 2035, "Filterable metadata must have at most 2048 bytes"),
        ("bulk", 40_944, "Metadata object must have at most 40960 bytes"),
    ],
)
def test_metadata_is_counted_as_json_bytes_plus_five(place: Place, key: str, largest: int, told: str) -> None:
    place.put({"k": [1.0, 0.0]}, {"k": {key: "x" * largest}})
    assert told in refused(place, record("k", metadata={key: "x" * (largest + 1)}))["Error"]["Message"]
    # ä is two bytes
    assert told in refused(place, record("k", metadata={key: "ä" * (largest // 2 + 1)}))["Error"]["Message"]


@pytest.mark.parametrize(
    ("operation", "more", "told"),
    [
        ("put_vectors", {"vectors": []}, "length 0 at '/vectors'"),
        ("put_vectors", {"vectors": [record(str(n)) for n in range(501)]}, "length 501 at '/vectors'"),
        ("put_vectors", {"vectors": [record("")]}, "'/vectors/0/key'"),
        ("put_vectors", {"vectors": [record("k" * 1025)]}, "length 1025 at '/vectors/0/key'"),
        (
            "put_vectors",
            {"vectors": [{"key": "k"}]},
            "'/vectors/0/data' failed to satisfy constraint: Member must not be",
        ),
        ("put_vectors", {"vectors": [record("k"), record("k")]}, "Duplicate key 'k'"),
        ("delete_vectors", {"keys": [str(n) for n in range(501)]}, "length 501 at '/keys'"),
        ("delete_vectors", {"keys": ["k", "k"]}, "Duplicate key 'k'"),
        ("get_vectors", {"keys": [str(n) for n in range(101)]}, "between 1 and 100, inclusive"),
        ("get_vectors", {"keys": []}, "length 0 at '/keys'"),
        (
            "list_vectors",
            {"maxResults": 1001},
            "'/maxResults' failed to satisfy constraint: Member must be between 1 and",
        ),
        ("list_vectors", {"segmentCount": 17, "segmentIndex": 0}, "'/segmentCount'"),
        ("list_vectors", {"segmentCount": 2}, "must be given together"),
        ("list_vectors", {"segmentCount": 2, "segmentIndex": 2}, "2 is not less than 2"),
        ("list_vectors", {"nextToken": "nonsense"}, "Invalid nextToken"),
        ("query_vectors", {"topK": 0, "queryVector": {"float32": [1.0, 0.0]}}, "greater than or equal to 1"),
        ("query_vectors", {"topK": 10_001, "queryVector": {"float32": [1.0, 0.0]}}, "at most 10000"),
        ("query_vectors", {"topK": 1}, "queryVector, queryTexts, or both"),
        ("query_vectors", {"topK": 1, "queryVector": {}}, "Exactly one member"),
        ("query_vectors", {"topK": 1, "queryVector": {"float32": [1.0]}}, "must have length 2, but has length 1"),
        ("query_vectors", {"topK": 1, "queryVector": {"float32": [0.0, 0.0]}}, "zero norm"),
        ("query_vectors", {"topK": 1, "queryVector": {"float32": [float("nan"), 0.0]}}, "finite"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_beyond_a_limit_is_a_validation_exception_that_names_it(
    place: Place, operation: str, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(place.client.exceptions.ValidationException) as caught:
        getattr(place.client, operation)(**place.where, **more)
    assert told in caught.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("operation", "more", "told"),
    [
        ("put_vectors", {"vectors": [record("k", (True, 1.0))]}, "Float expected"),
        ("query_vectors", {"topK": "5"}, "Integer expected"),
        ("query_vectors", {"topK": True}, "Integer expected"),
        ("query_vectors", {"topK": 1, "returnMetadata": "yes"}, "Boolean expected"),
        ("get_vectors", {"keys": [1]}, "String expected"),
        ("put_vectors", {"vectors": [record("x\ud800")]}, "surrogate"),
        ("put_vectors", {"vectors": [record("k", metadata={"s": "\udc00"})]}, "surrogate"),
        ("query_vectors", {"topK": 1, "filter": {"g": {"$in": ["x\ud800"]}}}, "surrogate"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_what_has_the_wrong_type_cannot_be_read(place: Place, operation: str, more: dict[str, Any], told: str) -> None:
    with pytest.raises(ClientError, match=told) as caught:
        getattr(place.client, operation)(**place.where, **more)
    assert caught.value.response["Error"]["Code"] == "SerializationException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize(
    ("vectors", "name", "told"),
    [
        (
            '[{"key": "k", "data": {"float32": ["x", 1]}}]',
            "SerializationException",
            "/vectors/0/data/float32: Float expected",
        ),
        ('[{"key": "k", "data": {"float32": 1}}]', "SerializationException", "List expected"),
        ('"x"', "SerializationException", "List expected"),
        ('["x"]', "SerializationException", "Object expected"),
        ('[{"key": "k", "data": {"float32": [NaN, 1]}}]', "ValidationException", "finite"),
        ('[{"key": "k", "data": {"float32": [1e999, 1]}}]', "ValidationException", "finite"),
        ('[{"key": "k", "data": {"float32": [1' + "0" * 400 + ", 1]}}]", "ValidationException", "finite"),
        (
            '[{"key": "k", "data": {"float32": [1, 0]}, "metadata": {"a": 1e999}}]',
            "SerializationException",
            "no JSON number",
        ),
    ],
    ids=lambda value: value[:50],
)
def test_what_no_sdk_would_send_is_refused_too(
    sandbox: Running, place: Place, vectors: str, name: str, told: str
) -> None:
    body = f'{{"indexArn": "{place.arn}", "vectors": {vectors}}}'
    answer = httpx.post(f"{sandbox.url}/PutVectors", content=body, headers=SIGNED)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, name)
    assert told in answer.json()["message"]


def test_a_list_is_paged_by_count_in_the_order_in_which_keys_came(make: Callable[..., Place]) -> None:
    place = make()
    names = [f"key-{n:03}" for n in range(25)]
    place.put({name: [1.0, float(position)] for position, name in enumerate(names)})
    listed = place.client.get_paginator("list_vectors").paginate(**place.where, maxResults=10)
    pages = [[vector["key"] for vector in page["vectors"]] for page in listed]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [key for page in pages for key in page] == names
    first = place.client.list_vectors(**place.where, maxResults=10, returnData=True, returnMetadata=True)
    assert first["vectors"][3] == {"key": "key-003", "data": {"float32": [1.0, 3.0]}, "metadata": {}}
    place.client.delete_vectors(**place.where, keys=["key-009", "key-010"])
    place.put({"key-000": [9.0, 9.0]})  # keeps its place
    second = place.client.list_vectors(**place.where, maxResults=10, nextToken=first["nextToken"])
    assert second["vectors"][0] == {"key": "key-011"}
    with pytest.raises(place.client.exceptions.ValidationException, match="Invalid nextToken"):
        place.client.list_vectors(indexArn=make().arn, nextToken=first["nextToken"])


def test_a_page_ends_after_a_megabyte_whatever_is_returned(make: Callable[..., Place]) -> None:
    place = make(metadataConfiguration={"nonFilterableMetadataKeys": ["bulk"]})
    names = [f"k{n}" for n in range(40)]
    place.put({name: [1.0, 0.0] for name in names}, {name: {"bulk": "x" * 40_000} for name in names})
    pages = list(place.client.get_paginator("list_vectors").paginate(**place.where))
    assert [len(page["vectors"]) for page in pages] == [25, 15]  # 40,000 bytes each, and a little


def test_segments_part_the_keys_between_them(make: Callable[..., Place]) -> None:
    place = make()
    place.put({f"key-{n}": [1.0, float(n)] for n in range(60)})
    segments = []
    for segment in range(4):
        pages = place.client.get_paginator("list_vectors").paginate(
            **place.where, segmentCount=4, segmentIndex=segment, maxResults=7
        )
        segments.append([vector["key"] for page in pages for vector in page["vectors"]])
    assert sorted(key for segment in segments for key in segment) == sorted(f"key-{n}" for n in range(60))
    assert all(segments)
