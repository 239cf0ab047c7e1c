"""Two evaluators of one grammar, written apart from AWS's guide: ours, and the one of the S3 Vectors stand-in."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from gateway.sandbox.s3vectors.filters import compile_filter
from trainer.retrieval.where import as_filter, matches, parse_where

NAMES = some.sampled_from(["a", "b", "c"])
TEXTS = some.sampled_from(["x", "y", "1", ""])
NUMBERS = some.sampled_from([0, 1, 2, 1.0, 1.5, -3])
VALUES = TEXTS | NUMBERS | some.booleans()
LABELS = some.dictionaries(
    NAMES, VALUES | some.lists(TEXTS, min_size=1, max_size=3) | some.lists(NUMBERS, min_size=1, max_size=3)
)
OPERATIONS = (
    some.fixed_dictionaries({}, optional={"$eq": VALUES, "$ne": VALUES, "$exists": some.booleans()})
    | some.dictionaries(some.sampled_from(["$gt", "$gte", "$lt", "$lte"]), NUMBERS, min_size=1)
    | some.dictionaries(some.sampled_from(["$in", "$nin"]), some.lists(VALUES, min_size=1, max_size=3), min_size=1)
).filter(bool)
WHERES = some.recursive(
    some.dictionaries(NAMES, VALUES | OPERATIONS, min_size=1, max_size=3),
    lambda inner: some.dictionaries(
        some.sampled_from(["$and", "$or"]), some.lists(inner, min_size=1, max_size=3), min_size=1
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(WHERES, LABELS)
def test_both_say_the_same_of_any_filter_and_any_labels(where: dict[str, Any], labels: dict[str, Any]) -> None:
    clause = parse_where(where)
    theirs = compile_filter(as_filter(clause), (), enhanced=True)
    assert matches(clause, labels) is theirs.matches(labels)
