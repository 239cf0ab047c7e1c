"""The metadata filter's whole table, asked over the wire of an index of each mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.s3vectors.filters import compile_filter
from tests.sandbox.s3vectors.conftest import Place

METADATA: dict[str, dict[str, Any]] = {
    "a": {"genre": "drama", "year": 2020, "hit": True, "tags": ["x", "y"], "sizes": [1, 5], "path": "/m/a"},
    "b": {"genre": "comedy", "year": 2021.5, "hit": False, "tags": ["y"], "path": "/n/b"},
    "c": {"genre": "drama", "year": 1999, "one": 1, "text": "1", "a.b": "dot", "body": "long"},
    "d": {},
}
BOTH = ("CLASSIC", "ENHANCED")

MATCHES: list[tuple[dict[str, Any], str]] = [
    # equality, implied and named
    ({"genre": "drama"}, "ac"),
    ({"genre": {"$eq": "drama"}}, "ac"),
    ({"year": 2020}, "a"),
    ({"year": {"$eq": 2020.0}}, "a"),
    ({"hit": True}, "a"),
    ({"hit": {"$eq": False}}, "b"),
    ({"genre": "tragedy"}, ""),
    ({"nothing": "x"}, ""),
    # an array matches by any element
    ({"tags": "y"}, "ab"),
    ({"tags": {"$eq": "x"}}, "a"),
    ({"sizes": 5}, "a"),
    # types are kept apart, and a type that differs matches nothing
    ({"text": 1}, ""),
    ({"one": "1"}, ""),
    ({"one": True}, ""),
    ({"hit": 1}, ""),
    ({"hit": {"$eq": "true"}}, ""),
    ({"genre": {"$gt": 1}}, ""),
    # not equal: also where the key is missing
    ({"genre": {"$ne": "drama"}}, "bd"),
    ({"tags": {"$ne": "x"}}, "bcd"),
    ({"hit": {"$ne": True}}, "bcd"),
    # order
    ({"year": {"$gt": 2020}}, "b"),
    ({"year": {"$gte": 2020}}, "ab"),
    ({"year": {"$lt": 2020}}, "c"),
    ({"year": {"$lte": 2020}}, "ac"),
    ({"year": {"$gt": 1999.5}}, "ab"),
    ({"year": {"$gte": 2000, "$lte": 2021}}, "a"),
    ({"genre": {"$eq": "drama", "$ne": "comedy"}}, "ac"),
    ({"sizes": {"$gt": 4}}, "a"),
    # membership
    ({"genre": {"$in": ["comedy", "tragedy"]}}, "b"),
    ({"year": {"$in": [1999, 2020]}}, "ac"),
    ({"hit": {"$in": [True]}}, "a"),
    ({"tags": {"$in": ["x", "z"]}}, "a"),
    ({"genre": {"$in": ["drama", 1, False]}}, "ac"),
    ({"genre": {"$nin": ["drama"]}}, "bd"),
    ({"tags": {"$nin": ["x", "z"]}}, "bcd"),
    # existence
    ({"year": {"$exists": True}}, "abc"),
    ({"year": {"$exists": False}}, "d"),
    ({"hit": {"$exists": True}}, "ab"),
    # logic
    ({"$and": [{"genre": "drama"}, {"year": {"$gte": 2000}}]}, "a"),
    ({"$and": [{"genre": "drama"}]}, "ac"),
    ({"$or": [{"genre": "comedy"}, {"year": {"$lt": 2000}}]}, "bc"),
    ({"$or": [{"$and": [{"genre": "drama"}, {"hit": True}]}, {"hit": False}]}, "ab"),
    ({"$and": [{"$or": [{"tags": "x"}, {"tags": "y"}]}, {"hit": {"$exists": True}}]}, "ab"),
    # a dot in a key is a letter like any other
    ({"a.b": "dot"}, "c"),
]

REFUSED: list[tuple[Any, str]] = [
    ({}, "empty"),
    ([], "must be an object"),
    ("genre", "must be an object"),
    ({"genre": "a", "year": 1}, "exactly one field"),
    ({"genre": {"$eq": "a"}, "year": {"$eq": 1}}, "exactly one field"),
    ({"$and": [{"genre": "a"}], "genre": "a"}, "exactly one field"),
    ({"$and": [{"genre": "a"}], "$or": [{"genre": "a"}]}, "exactly one field"),
    ({"$and": [{"genre": "a", "year": 1}]}, "exactly one field"),
    ({"$and": []}, "at least one condition"),
    ({"$or": []}, "at least one condition"),
    ({"$or": {"genre": "a"}}, "at least one condition"),
    ({"$and": [{}]}, "empty"),
    ({"$and": ["x"]}, "must be an object"),
    ({"$not": [{"genre": "a"}]}, "$not is not an operator that can stand here"),
    ({"$eq": "a"}, "can stand here"),
    ({"genre": {}}, "empty"),
    ({"genre": {"$eg": "a"}}, "$eg is not an operator"),
    ({"genre": {"$regex": "a"}}, "$regex is not an operator"),
    ({"genre": {"x": 1}}, "x is not an operator"),
    ({"genre": {"$eq": "a", "x": 1}}, "x is not an operator"),
    ({"genre": {"$and": [{"genre": "a"}]}}, "$and is not an operator"),
    ({"genre": None}, "null"),
    ({"genre": ["a"]}, "a list"),
    ({"genre": {"$eq": None}}, "null"),
    ({"genre": {"$eq": ["a"]}}, "a list"),
    ({"genre": {"$eq": {}}}, "an object"),
    ({"genre": {"$ne": None}}, "null"),
    ({"year": {"$gt": "1"}}, "$gt takes a number"),
    ({"year": {"$gte": True}}, "$gte takes a number"),
    ({"year": {"$lt": None}}, "$lt takes a number"),
    ({"year": {"$lte": [1]}}, "$lte takes a number"),
    ({"genre": {"$in": []}}, "at least one"),
    ({"genre": {"$in": "a"}}, "at least one"),
    ({"genre": {"$in": [None]}}, "at least one"),
    ({"genre": {"$in": [{}]}}, "at least one"),
    ({"genre": {"$in": [["a"]]}}, "at least one"),
    ({"genre": {"$nin": []}}, "at least one"),
    ({"genre": {"$nin": [None]}}, "at least one"),
    ({"genre": {"$exists": "yes"}}, "true or false"),
    ({"genre": {"$exists": 1}}, "true or false"),
    ({"body": "long"}, "non-filterable"),
    ({"$or": [{"genre": "a"}, {"body": {"$exists": True}}]}, "non-filterable"),
]


@pytest.fixture(scope="module")
def places(make: Callable[..., Place]) -> dict[str, Place]:
    """The same four vectors in an index of each mode."""
    made = {"CLASSIC": make(bucket="classic-", **BODY), "ENHANCED": make(**BODY)}
    for place in made.values():
        place.put({key: [1.0, float(position)] for position, key in enumerate(METADATA)}, METADATA)
    return made


BODY = {"metadataConfiguration": {"nonFilterableMetadataKeys": ["body"]}}
QUERY = {"queryVector": {"float32": [1.0, 0.0]}, "topK": 10}


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize(("given", "expected"), MATCHES, ids=str)
def test_a_filter_keeps_exactly_what_fits(
    places: dict[str, Place], mode: str, given: dict[str, Any], expected: str
) -> None:
    assert "".join(sorted(places[mode].keys(filter=given, **QUERY))) == expected


@pytest.mark.parametrize(("given", "reason"), REFUSED, ids=str)
def test_a_filter_that_cannot_be_evaluated_is_a_validation_exception_with_its_place(
    places: dict[str, Place], given: Any, reason: str
) -> None:
    place = places["ENHANCED"]
    with pytest.raises(place.client.exceptions.ValidationException) as caught:
        place.query(filter=given, **QUERY)
    error = caught.value.response
    assert error["Error"]["Message"].startswith("Invalid filter")
    assert reason in error["Error"]["Message"]
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    [field] = error["fieldList"]
    assert field["path"] == "filter"
    assert field["message"].startswith("filter")


def test_a_prefix_is_matched_only_where_filters_come_first(places: dict[str, Place]) -> None:
    prefix = {"path": {"$startsWith": "/m/"}}
    assert places["ENHANCED"].keys(filter=prefix, **QUERY) == ["a"]
    assert places["CLASSIC"].keys(filter=prefix, queryMode="ENHANCED", **QUERY) == ["a"]
    assert places["ENHANCED"].keys(filter={"tags": {"$startsWith": "x"}}, **QUERY) == ["a"]
    assert places["ENHANCED"].keys(filter={"year": {"$startsWith": "2"}}, **QUERY) == []
    with pytest.raises(places["CLASSIC"].client.exceptions.ValidationException, match=r"\$startsWith needs queryMode"):
        places["CLASSIC"].query(filter=prefix, **QUERY)
    with pytest.raises(places["ENHANCED"].client.exceptions.ValidationException, match=r"\$startsWith takes a string"):
        places["ENHANCED"].query(filter={"path": {"$startsWith": 1}}, **QUERY)


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({"category": "electronics"}, 1),
        ({"region": {"$in": ["us-east-1", "us-west-2", "eu-west-1"]}}, 3),
        ({"$and": [{"category": "electronics"}, {"price": {"$lte": 500}}]}, 2),
        ({"price": {"$gte": 10, "$lte": 50}}, 2),
    ],
)
def test_every_value_that_is_compared_is_one_constraint(given: dict[str, Any], count: int) -> None:
    assert compile_filter(given, (), enhanced=True).constraints == count


def test_an_enhanced_query_takes_100_constraints_and_a_classic_one_more(places: dict[str, Place]) -> None:
    hundred, more = ({"year": {"$in": list(range(size))}} for size in (100, 101))
    assert places["ENHANCED"].keys(filter=hundred, **QUERY) == []
    assert places["CLASSIC"].keys(filter=more, **QUERY) == []
    for place, asked in ((places["ENHANCED"], {}), (places["CLASSIC"], {"queryMode": "ENHANCED"})):
        with pytest.raises(place.client.exceptions.ValidationException, match="101 constraints, and at most 100"):
            place.query(filter=more, **QUERY, **asked)
    with pytest.raises(places["CLASSIC"].client.exceptions.ValidationException, match="1001 constraints"):
        places["CLASSIC"].query(filter={"year": {"$in": list(range(1001))}}, **QUERY)


def test_logic_nests_to_a_bound_and_an_abyss_is_not_fallen_into(places: dict[str, Place]) -> None:
    def nested(depth: int) -> dict[str, Any]:
        condition: dict[str, Any] = {"genre": "drama"}
        for _ in range(depth):
            condition = {"$and": [condition]}
        return condition

    place = places["ENHANCED"]
    assert sorted(place.keys(filter=nested(15), **QUERY)) == ["a", "c"]
    with pytest.raises(place.client.exceptions.ValidationException, match="nest more than 16 deep"):
        place.query(filter=nested(16), **QUERY)
