"""Reciprocal rank fusion: one order out of several, by the places in each and not by scores that do not compare.

Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods"
(SIGIR 2009), with the paper's k = 60.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

K = 60


def ranked(scores: Mapping[int, float]) -> list[int]:
    """Numbers of texts, the highest score first, equal ones by their number."""
    return sorted(scores, key=lambda number: (-scores[number], number))


def fused(rankings: Iterable[Sequence[int]]) -> dict[int, float]:
    """Score of each text: the sum of 1 / (K + its place), places counted from 1, over the rankings that hold it."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for place, number in enumerate(ranking, 1):
            scores[number] = scores.get(number, 0.0) + 1 / (K + place)
    return scores
