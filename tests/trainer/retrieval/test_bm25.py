"""BM25 and the fusion of rankings, against sums done by hand."""

from __future__ import annotations

import math

import pytest

from trainer.retrieval.bm25 import K1, B, Bm25, words
from trainer.retrieval.fusion import fused, ranked


def test_words_are_lower_case_without_accents_plurals_and_the_commonest() -> None:
    assert words("What are the Cafés' OPENING hours?") == ["cafe", "opening", "hour"]
    assert words("policies, buses, classes, gas, us, shoes") == ["policy", "buse", "classe", "gas", "us", "shoes"]
    assert words("31 euros; №5 straße") == ["31", "euro", "no5", "strasse"]


def test_scores_are_those_of_the_formula() -> None:
    index = Bm25(["red apple red", "green apple", "blue sky over green hill"])
    mean = (3 + 2 + 5) / 3
    rarity = math.log(1 + (3 - 1 + 0.5) / 1.5)
    red = rarity * 2 * (K1 + 1) / (2 + K1 * (1 - B + B * 3 / mean))
    assert index.scores("red") == pytest.approx({0: red})
    assert index.scores("red red") == pytest.approx({0: 2 * red})
    both = index.scores("green apple")
    assert set(both) == {0, 1, 2}
    assert ranked(both)[0] == 1


def test_a_query_of_unknown_or_common_words_finds_nothing() -> None:
    index = Bm25(["red apple"])
    assert index.scores("zebra") == {}
    assert index.scores("what is the") == {}
    assert Bm25([]).scores("red") == {}


def test_reciprocal_ranks_are_added_over_the_rankings() -> None:
    scores = fused([[7, 5], [5, 9]])
    assert scores == pytest.approx({7: 1 / 61, 5: 1 / 62 + 1 / 61, 9: 1 / 62})
    assert ranked(scores) == [5, 7, 9]


def test_equal_scores_are_in_the_order_of_the_numbers() -> None:
    assert ranked({3: 1.0, 1: 1.0, 2: 2.0}) == [2, 1, 3]
