"""The shipped policies: what they name exists, and what they allow is enough, on a sandbox that denies all else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.s3vectors.service import OPERATIONS
from tests.sandbox.s3vectors.conftest import Place, Running
from trainer.retrieval import s3vectors, s3vectors_index
from trainer.retrieval.chunk import Chunk
from trainer.retrieval.titan import Titan

FOLDER = Path(__file__).parents[3] / "deploy" / "aws"
TITAN = "arn:aws:bedrock:REGION::foundation-model/amazon.titan-embed-text-v2:0"
INDEX = {"dataType": "float32", "dimension": 2, "distanceMetric": "cosine"}


def allowed(name: str) -> set[str]:
    """The S3 Vectors operations of a policy, which names no wildcard and of Bedrock only Titan."""
    found: set[str] = set()
    for statement in json.loads((FOLDER / name).read_text())["Statement"]:
        assert statement["Effect"] == "Allow"
        assert "*" not in statement["Resource"]
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        for action in actions:
            service, _, operation = action.partition(":")
            if service == "bedrock":
                assert (operation, statement["Resource"]) == ("InvokeModel", TITAN)
            else:
                assert service == "s3vectors"
                assert operation in OPERATIONS
                found.add(operation)
    return found


@pytest.fixture
def under(start: Callable[..., Running]) -> Callable[..., Place]:
    """A place in a sandbox that allows a set of operations."""

    def made(operations: set[str]) -> Place:
        running = start(vectors={"denied_actions": sorted(OPERATIONS - operations)})
        return Place(running.client("s3vectors"), "bucket")

    return made


def ask(place: Place) -> Any:
    return place.query(topK=1, queryVector={"float32": [1.0, 0.0]}, filter={"a": 1}, returnMetadata=True)["vectors"]


def test_the_index_policy_makes_fills_and_replaces_an_index(under: Callable[..., Place]) -> None:
    place = under(allowed("retrieval-index.json"))
    client = place.client
    client.create_vector_bucket(vectorBucketName=place.bucket)
    client.create_index(**place.where, **INDEX)
    client.get_index(**place.where)
    client.update_index_mode(**place.where, indexMode="ENHANCED")
    client.update_metadata_configuration(**place.where, add={"textSearchConfigurations": [{"metadataKey": "text"}]})
    place.put({"k": [1.0, 0.0]}, {"k": {"a": 1}})
    assert ask(place) == [{"key": "k", "metadata": {"a": 1}}]
    client.list_vectors(**place.where, returnMetadata=True)
    client.delete_index(**place.where)
    with pytest.raises(client.exceptions.AccessDeniedException):
        client.delete_vector_bucket(vectorBucketName=place.bucket)


def test_the_query_policy_asks_and_does_nothing_else(under: Callable[..., Place]) -> None:
    operations = allowed("retrieval-query.json")
    assert operations == {"QueryVectors", "GetVectors", "ListVectors"}
    # The index is made by somebody else, who may.
    place = under(operations | {"CreateVectorBucket", "CreateIndex", "PutVectors"})
    place.client.create_vector_bucket(vectorBucketName=place.bucket)
    place.client.create_index(**place.where, **INDEX)
    place.put({"k": [1.0, 0.0]}, {"k": {"a": 1}})
    assert place.client.list_vectors(**place.where, maxResults=1, returnMetadata=True)["vectors"]
    assert ask(place) == [{"key": "k", "metadata": {"a": 1}}]


def test_the_retrieval_itself_asks_for_all_that_is_allowed_and_for_nothing_else(sandbox: Running) -> None:
    sandbox.admin("POST", "/reset")
    client, titan = sandbox.client("s3vectors"), Titan(sandbox.client("bedrock-runtime"))
    place = s3vectors.Place("classic-bucket", "pages")
    chunks = [Chunk("a", "Dinner is paid.", {"edition": 2026})]

    def asked_for() -> set[str]:
        return {name.partition(":")[0] for name in sandbox.admin("GET", "/s3vectors")["requests"]}

    s3vectors_index.build(client, place, chunks, titan, make_bucket=True)
    s3vectors_index.build(client, place, chunks, titan, make_bucket=True, replace=True)
    made = asked_for()
    sandbox.admin("POST", "/reset")
    s3vectors_index.build(client, place, chunks, titan, make_bucket=True)
    before = asked_for()
    store = s3vectors.open_s3vectors(client, place, titan)
    assert [hit.id for hit in store.query("dinner", 1, {"edition": 2026})] == ["a"]
    found = asked_for() - before
    assert found == allowed("retrieval-query.json")
    assert made | found == allowed("retrieval-index.json")
