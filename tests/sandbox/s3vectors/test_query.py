"""Nearest vectors, matching words, both fused; pages; and what the two index modes do with a filter."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.s3vectors.fulltext import bm25, fused, terms
from tests.sandbox.s3vectors.conftest import Place, Running
from tests.sandbox.s3vectors.test_resources import fits

EAST = {"float32": [1.0, 0.0]}


def test_cosine_distance_is_one_less_the_similarity_whatever_the_length(make: Callable[..., Place]) -> None:
    place = make()
    place.put({"same": [1.0, 0.0], "scaled": [5.0, 0.0], "across": [0.0, 2.0], "against": [-3.0, 0.0]})
    answer = place.query(topK=10, queryVector=EAST, returnDistance=True)
    assert fits("QueryVectors", answer)
    assert answer["distanceMetric"] == "cosine"
    assert [(hit["key"], hit["distance"]) for hit in answer["vectors"]] == [
        ("same", 0.0), ("scaled", 0.0), ("across", 1.0), ("against", 2.0)
    ]  # fmt: skip


def test_euclidean_distance_is_the_straight_line(make: Callable[..., Place]) -> None:
    place = make(metric="euclidean")
    place.put({"far": [4.0, 4.0], "near": [1.0, 1.0]})
    answer = place.query(topK=2, queryVector=EAST, returnDistance=True)
    assert answer["distanceMetric"] == "euclidean"
    assert [(hit["key"], hit["distance"]) for hit in answer["vectors"]] == [("near", 1.0), ("far", 5.0)]


def test_only_what_was_asked_for_comes_back_and_no_more_than_top_k(make: Callable[..., Place]) -> None:
    place = make()
    place.put({"a": [1.0, 0.0], "b": [1.0, 0.1], "c": [1.0, 0.2]}, {"a": {"n": 1}})
    assert place.query(topK=1, queryVector=EAST)["vectors"] == [{"key": "a"}]
    assert place.query(topK=2, queryVector=EAST, returnMetadata=True)["vectors"] == [
        {"key": "a", "metadata": {"n": 1}},
        {"key": "b", "metadata": {}},
    ]
    assert place.keys(topK=100, queryVector=EAST) == ["a", "b", "c"]
    assert place.client.query_vectors(indexArn=place.arn, topK=1, queryVector=EAST)["vectors"] == [{"key": "a"}]


def test_equals_come_in_the_order_of_their_keys(make: Callable[..., Place]) -> None:
    place = make()
    place.put({key: [1.0, 1.0] for key in ("d", "b", "a", "c")})
    assert place.keys(topK=3, queryVector=EAST) == ["a", "b", "c"]


def test_more_than_100_results_come_in_pages_that_later_writes_do_not_touch(make: Callable[..., Place]) -> None:
    place = make()
    names = [f"k{n:03}" for n in range(250)]
    place.put({name: [1.0, float(position) / 100] for position, name in enumerate(names)})
    asked = {"topK": 230, "queryVector": EAST, "returnDistance": True}
    first = place.query(**asked)
    assert len(first["vectors"]) == 100
    place.put({"nearest": [1.0, 0.0]})
    place.client.delete_vectors(**place.where, keys=["k150"])
    second = place.query(**asked, nextToken=first["nextToken"])
    third = place.query(**asked, nextToken=second["nextToken"])
    assert "nextToken" not in third
    assert [hit["key"] for page in (first, second, third) for hit in page["vectors"]] == names[:230]
    assert place.query(**asked, nextToken=first["nextToken"])["vectors"] == second["vectors"]
    pages = place.client.get_paginator("query_vectors").paginate(**place.where, topK=230, queryVector=EAST)
    assert sum(len(page["vectors"]) for page in pages) == 230
    for changed in ({"topK": 229}, {"nextToken": "made-up"}):
        with pytest.raises(place.client.exceptions.ValidationException, match="Invalid nextToken"):
            place.query(**{**asked, "nextToken": first["nextToken"], **changed})


def test_a_page_token_expires(start: Callable[..., Running]) -> None:
    running = start()
    place = Place(running.client("s3vectors"), "bucket")
    place.client.create_vector_bucket(vectorBucketName="bucket")
    place.client.create_index(**place.where, dataType="float32", dimension=2, distanceMetric="cosine")
    place.put({f"k{n}": [1.0, float(n)] for n in range(101)})
    token = place.query(topK=101, queryVector=EAST)["nextToken"]
    running.admin("POST", "/clock", {"advance_seconds": 299})
    assert len(place.query(topK=101, queryVector=EAST, nextToken=token)["vectors"]) == 1
    running.admin("POST", "/clock", {"advance_seconds": 2})
    with pytest.raises(place.client.exceptions.ValidationException, match="has expired"):
        place.query(topK=101, queryVector=EAST, nextToken=token)


def test_a_classic_index_may_return_fewer_than_fit_and_an_enhanced_one_never(make: Callable[..., Place]) -> None:
    """120 vectors, and the three that fit the filter are at places 1, 50 and 110 by distance."""
    rare = {f"k{n:03}": {"rare": True} for n in (1, 50, 110)}
    asked = {"topK": 3, "queryVector": EAST, "filter": {"rare": True}}
    classic, enhanced = make(bucket="classic-"), make()
    for place in (classic, enhanced):
        place.put({f"k{n:03}": [1.0, n / 100] for n in range(120)}, rare)
    assert classic.keys(**asked) == ["k001", "k050"]
    assert enhanced.keys(**asked) == ["k001", "k050", "k110"]
    assert classic.keys(**asked, queryMode="ENHANCED") == ["k001", "k050", "k110"]
    assert classic.keys(**asked, queryMode="CLASSIC") == ["k001", "k050"]
    # A search that goes deeper sees more, and one without a filter misses nothing.
    assert classic.keys(**{**asked, "topK": 120}) == ["k001", "k050", "k110"]
    assert len(classic.keys(topK=100, queryVector=EAST)) == 100
    with pytest.raises(enhanced.client.exceptions.ValidationException, match="queryMode CLASSIC can't be specified"):
        enhanced.query(**asked, queryMode="CLASSIC")


TEXTS = {
    "lamp": "The lamp in room 12 needs a new bulb.",
    "heating": "The heating of room 7 fails. The heating engineer comes on Monday.",
    "travel": "Travel by train is booked on Monday.",
    "untitled": "Nothing here.",
}


@pytest.fixture(scope="module")
def words(make: Callable[..., Place]) -> Place:
    place = make(
        metadataConfiguration={
            "nonFilterableMetadataKeys": ["text"],
            "textSearchConfigurations": [{"metadataKey": "text", "language": "en"}, {"metadataKey": "title"}],
        }
    )
    metadata = {key: {"text": text, "title": key, "public": key != "travel"} for key, text in TEXTS.items()}
    place.put({key: [1.0, float(position)] for position, key in enumerate(TEXTS)}, metadata)
    return place


def asked_for(text: str, key: str = "text") -> list[dict[str, str]]:
    return [{"text": text, "metadataKey": key}]


def test_words_alone_are_ranked_by_bm25(words: Place) -> None:
    answer = words.query(topK=5, queryTexts=asked_for("Heating, Monday?"), returnScores=True, returnDistance=True)
    assert fits("QueryVectors", answer)
    assert [hit["key"] for hit in answer["vectors"]] == ["heating", "travel"]
    scores = bm25("heating monday", TEXTS)
    for hit in answer["vectors"]:
        assert "distance" not in hit
        [score] = hit["scores"]["bm25Scores"]
        assert score["metadataKey"] == "text"
        assert math.isclose(score["score"], scores[hit["key"]], rel_tol=1e-6)
    assert words.keys(topK=5, queryTexts=asked_for("room")) == ["lamp", "heating"]
    assert words.keys(topK=5, queryTexts=asked_for("unheard of")) == ["heating"]
    assert words.keys(topK=5, queryTexts=asked_for("monday"), filter={"public": True}) == ["heating"]
    both = asked_for("monday") + asked_for("travel", "title")
    assert words.keys(topK=5, queryTexts=both) == ["travel", "heating"]


def test_words_and_a_vector_are_fused_by_reciprocal_rank(words: Place) -> None:
    answer = words.query(
        topK=4, queryVector=EAST, queryTexts=asked_for("train"), returnScores=True, returnDistance=True
    )
    assert fits("QueryVectors", answer)
    best = answer["vectors"][0]
    assert best["key"] == "travel"  # third by distance, first by words
    assert math.isclose(best["scores"]["fused"], 1 / 61 + 1 / 63, rel_tol=1e-6)
    assert best["scores"]["vectorDistance"] == best["distance"]
    assert [hit["key"] for hit in answer["vectors"][1:]] == ["lamp", "heating", "untitled"]
    assert answer["vectors"][1]["scores"]["bm25Scores"] == []
    plain = words.query(topK=4, queryVector=EAST, returnScores=True)["vectors"]
    assert all("scores" not in hit for hit in plain)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (asked_for("x", "body"), "'body' is not full-text searchable in this index; searchable keys: text, title"),
        (asked_for("x") + asked_for("y"), "distinct searchable metadata key"),
        (asked_for(""), "between 1 and 1024, inclusive"),
        (asked_for("x" * 1025), "length 1025"),
        ([], "length 0 at '/queryTexts'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_words_that_cannot_be_searched_are_refused(words: Place, texts: Any, told: str) -> None:
    with pytest.raises(words.client.exceptions.ValidationException) as caught:
        words.query(topK=1, queryTexts=texts)
    assert told in caught.value.response["Error"]["Message"]


def test_words_need_an_enhanced_index(make: Callable[..., Place]) -> None:
    classic = make(bucket="classic-")
    with pytest.raises(classic.client.exceptions.ValidationException, match="require a vector index in ENHANCED mode"):
        classic.query(topK=1, queryTexts=asked_for("x"), queryMode="ENHANCED")


def test_bm25_by_hand() -> None:
    texts = {1: "a b", 2: "a a c c", 3: "d d d"}
    # n = 3 documents of mean length 3; `a` is in two: idf = ln(1 + 1.5 / 2.5).
    idf = math.log(1 + 1.5 / 2.5)
    scores = bm25("A!", texts)
    assert set(scores) == {1, 2}
    assert math.isclose(scores[1], idf * 1 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 3)))
    assert math.isclose(scores[2], idf * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 4 / 3)))
    assert bm25("x", {}) == {}
    assert terms("Straße, SKU-12_b") == ["strasse", "sku", "12", "b"]
    assert fused([["a", "b"], ["b"]]) == {"a": 1 / 61, "b": 1 / 62 + 1 / 61}
