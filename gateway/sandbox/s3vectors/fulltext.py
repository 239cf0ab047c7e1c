"""Words against words: BM25 over one metadata key, and Reciprocal Rank Fusion of rankings. Pure.

SIMULATED in one respect: there is one analyser for every language. It lower-cases and splits at what is neither letter
nor digit; it knows no stems and no stop words, and takes a run of Chinese or Japanese for one word.
Sources: Robertson and Zaragoza 2009 (BM25, with Lucene's idf); Cormack, Clarke and Buettcher 2009 (RRF, k = 60). Which
constants AWS uses is not known.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

K1 = 1.2
B = 0.75
RRF_K = 60
_TERM = re.compile(r"[^\W_]+")

Id = TypeVar("Id", bound=Hashable)


def terms(text: str) -> list[str]:
    return _TERM.findall(text.casefold())


def bm25(query: str, texts: Mapping[Id, str]) -> dict[Id, float]:
    """The score of every text that shares a term with the query; higher is nearer. Rarity is over all `texts`."""
    wanted = set(terms(query))
    counted = {key: terms(text) for key, text in texts.items()}
    if not counted:
        return {}
    mean = sum(map(len, counted.values())) / len(counted)
    found: dict[Id, Counter[str]] = {}
    documents: Counter[str] = Counter()
    for key, words in counted.items():
        shared = Counter(word for word in words if word in wanted)
        if shared:
            found[key] = shared
            documents.update(shared.keys())
    idf = {term: math.log(1 + (len(counted) - n + 0.5) / (n + 0.5)) for term, n in documents.items()}
    return {
        key: sum(
            idf[term] * times * (K1 + 1) / (times + K1 * (1 - B + B * len(counted[key]) / mean))
            for term, times in sorted(shared.items())
        )
        for key, shared in found.items()
    }


def fused(rankings: Sequence[Sequence[Id]]) -> dict[Id, float]:
    """Reciprocal Rank Fusion: the sum of 1 / (60 + rank) over the rankings that have it, the first rank being 1."""
    scores: dict[Id, float] = {}
    for ranking in rankings:
        for rank, key in enumerate(ranking, 1):
            scores[key] = scores.get(key, 0.0) + 1 / (RRF_K + rank)
    return scores
