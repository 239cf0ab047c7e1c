"""The filter grammar: which labels fit which filter, and what is said about one that means nothing."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.retrieval.where import WhereError, as_filter, matches, parse_where

LABELS: dict[str, Any] = {
    "dept": "travel",
    "year": 2025,
    "rate": 0.5,
    "public": True,
    "tags": ["a", "b"],
    "nums": [1, 9],
}


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        ({"dept": "travel"}, True), ({"dept": "people"}, False), ({"dept": {"$eq": "travel"}}, True),
        ({"year": 2025.0}, True), ({"year": "2025"}, False), ({"public": True}, True), ({"public": 1}, False),
        ({"tags": "b"}, True), ({"tags": "c"}, False), ({"tags": {"$ne": "b"}}, False), ({"tags": {"$ne": "c"}}, True),
        ({"dept": {"$ne": "people"}}, True), ({"gone": {"$ne": "x"}}, True), ({"gone": "x"}, False),
        ({"year": {"$gt": 2024}}, True), ({"year": {"$gt": 2025}}, False), ({"year": {"$gte": 2025}}, True),
        ({"rate": {"$lt": 0.5}}, False), ({"rate": {"$lte": 0.5}}, True), ({"dept": {"$gt": 1}}, False),
        ({"public": {"$gte": 1}}, False), ({"nums": {"$gt": 8}}, True), ({"nums": {"$lt": 1}}, False),
        ({"year": {"$gte": 2024, "$lt": 2026}}, True), ({"year": {"$gte": 2024, "$lt": 2025}}, False),
        ({"dept": {"$in": ["people", "travel"]}}, True), ({"tags": {"$in": ["b", "z"]}}, True),
        ({"gone": {"$in": ["x"]}}, False), ({"dept": {"$nin": ["people"]}}, True), ({"tags": {"$nin": ["a"]}}, False),
        ({"gone": {"$nin": ["x"]}}, True), ({"dept": {"$exists": True}}, True), ({"gone": {"$exists": False}}, True),
        ({"gone": {"$exists": True}}, False), ({"dept": "travel", "year": 2025}, True),
        ({"dept": "travel", "year": 2024}, False), ({"$and": [{"dept": "travel"}, {"year": {"$lt": 2020}}]}, False),
        ({"$or": [{"dept": "people"}, {"year": {"$gt": 2020}}]}, True),
        ({"$or": [{"dept": "people"}, {"$and": [{"tags": "a"}, {"public": True}]}]}, True),
        ({"$or": [{"dept": "people"}, {"year": 1}]}, False),
    ],
)  # fmt: skip
def test_labels_fit_a_filter_or_do_not(where: dict[str, Any], fits: bool) -> None:
    clause = parse_where(where)
    assert matches(clause, LABELS) is fits
    assert matches(parse_where(as_filter(clause)), LABELS) is fits


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({}, "where is empty"), ({"dept": {}}, "where.dept is an empty object"),
        ({"dept": ["a"]}, r"where.dept.\$eq is a list: give text, a number, true or false"),
        ({"dept": None}, r"where.dept.\$eq is null"),
        ({"year": {"$gt": "2024"}}, r"where.year.\$gt is text: give a number"),
        ({"year": {"$gt": True}}, r"is true: give a number"),
        ({"year": {"$lt": float("nan")}}, "is nan: give a number"),
        ({"dept": {"$in": []}}, "is empty: give a list of at least one"),
        ({"dept": {"$in": "a"}}, "is text: give a list"),
        ({"dept": {"$in": [["a"]]}}, "is a list: give a list"), ({"dept": {"$exists": 1}}, "is 1: give true or false"),
        ({"dept": {"$like": "a"}}, r"\$like is no operator: the operators are \$eq"),
        ({"$not": [{}]}, "is no operator that"),
        ({"$and": []}, r"where.\$and is empty: give a list"), ({"$or": [{"a": 1}, 5]}, r"where.\$or\[1\] is 5"),
    ],
)  # fmt: skip
def test_a_filter_that_means_nothing_is_refused_by_its_place(where: dict[str, Any], said: str) -> None:
    with pytest.raises(WhereError, match=said):
        parse_where(where)


def test_a_label_that_no_chunk_has_is_a_mistake_and_not_an_empty_answer() -> None:
    with pytest.raises(WhereError, match=r"where.departement: no chunk .* it has department, edition"):
        parse_where({"departement": "travel"}, ("edition", "department"))


def test_depth_and_the_number_of_values_are_bounded() -> None:
    deep: dict[str, Any] = {"a": 1}
    for _ in range(12):
        deep = {"$and": [deep]}
    with pytest.raises(WhereError, match="nests more than 10 deep"):
        parse_where(deep)
    parse_where({"a": {"$in": list(range(100))}})
    with pytest.raises(WhereError, match="compares 101 values: give at most 100"):
        parse_where({"a": {"$in": list(range(100))}, "b": 1})


def test_what_is_sent_to_the_service_has_one_operator_a_condition() -> None:
    clause = parse_where({"dept": "travel", "year": {"$gte": 2024, "$lt": 2026}})
    assert as_filter(clause) == {
        "$and": [{"dept": {"$eq": "travel"}}, {"year": {"$gte": 2024}}, {"year": {"$lt": 2026}}]
    }
