"""QueryVectors: nearest vectors, matching words, or both fused; filtered first (ENHANCED) or on the way (CLASSIC).

The search is exhaustive and exact. AWS's is approximate; what is kept of that is what its guide tells of CLASSIC: a
filter that few vectors fit may leave fewer than topK, because the search stops looking. Here it looks at the nearest
`classic_candidates` vectors.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import math
import operator
import struct
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.sandbox.s3vectors.errors import VectorsError, invalid
from gateway.sandbox.s3vectors.filters import Filter, compile_filter
from gateway.sandbox.s3vectors.fulltext import bm25, fused
from gateway.sandbox.s3vectors.store import Index, Store, Vector
from gateway.sandbox.s3vectors.vectors import read_float32

Json = dict[str, Any]

MAX_TOP_K = 10_000
PAGE = 100
FLOAT32_MAX = (2 - 2**-23) * 2.0**127
SESSIONS_KEPT = 64
SESSION_SECONDS = 300
"""How long a query's further pages can be asked for. AWS says "several minutes"."""


@dataclass(slots=True)
class Hit:
    vector: Vector
    distance: float | None = None
    bm25: dict[str, float] = field(default_factory=dict)
    fused: float | None = None


@dataclass(frozen=True, slots=True)
class _Session:
    """The rest of a query's answer. `of`: a hash of what was asked, which the next page must ask again."""

    of: str
    hits: list[Hit]
    position: int
    ends: float


class Queries:
    """QueryVectors with its pages. Results are fixed when a query is first asked, whatever is written meanwhile."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._tokens = 0

    def query_vectors(self, store: Store, request: Json) -> Json:
        index = store.index(request)
        asked = _fingerprint(request)
        if "nextToken" in request:
            hits, start = self._resume(request["nextToken"], asked, store.now())
        else:
            hits, start = _search(store, index, request), 0
        page = hits[start : start + PAGE]
        answer: Json = {"vectors": [_shown(hit, request) for hit in page], "distanceMetric": index.metric}
        if len(hits) > start + PAGE:
            answer["nextToken"] = self._keep(_Session(asked, hits, start + PAGE, store.now() + SESSION_SECONDS))
        return answer

    def _keep(self, session: _Session) -> str:
        self._tokens += 1
        token = hashlib.sha256(f"{self._tokens} {session.of}".encode()).hexdigest()
        self._sessions[token] = session
        while len(self._sessions) > SESSIONS_KEPT:
            self._sessions.popitem(last=False)
        return token

    def _resume(self, token: str, asked: str, now: float) -> tuple[list[Hit], int]:
        session = self._sessions.get(token)
        if session is None or session.ends <= now:
            raise invalid("Invalid nextToken: it is unknown or has expired. Ask the query again", "nextToken")
        if session.of != asked:
            raise invalid("Invalid nextToken: the other parameters must be those of the first page", "nextToken")
        return session.hits, session.position


def _fingerprint(request: Json) -> str:
    rest = {key: value for key, value in request.items() if key != "nextToken"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _search(store: Store, index: Index, request: Json) -> list[Hit]:
    """The topK hits, best first; equals in the order of their keys."""
    top = request["topK"]
    if top > MAX_TOP_K:
        raise invalid(f"topK must be at most {MAX_TOP_K}, and is {top}", "topK")
    mode = request.get("queryMode", index.mode)
    if mode == "CLASSIC" and index.mode == "ENHANCED":
        raise invalid("queryMode CLASSIC can't be specified for an index in ENHANCED mode", "queryMode")
    enhanced = mode == "ENHANCED"
    wanted = None
    if "filter" in request:
        wanted = compile_filter(request["filter"], index.non_filterable, enhanced=enhanced)
    texts = request.get("queryTexts", [])
    if texts:
        _require_searchable(index, texts)
    elif "queryVector" not in request:
        raise invalid("Must specify queryVector, queryTexts, or both")
    query = _query_vector(index, request) if "queryVector" in request else None
    if query is not None and not texts and not enhanced and wanted is not None:
        return _classic(store, index, query, wanted, top)
    vectors = [v for v in index.vectors.values() if wanted is None or wanted.matches(v.metadata)]
    if query is None:
        return _by_words(_word_hits(index, vectors, texts), top)
    if not texts:
        return _nearest(index, query, vectors, top)
    return _hybrid(index, query, vectors, texts, top)


def _nearest(index: Index, query: array[float], vectors: Sequence[Vector], count: int) -> list[Hit]:
    measured = zip(_distances(index, query, vectors), vectors, strict=True)
    nearest = heapq.nsmallest(count, measured, key=lambda each: (each[0], each[1].key))
    return [Hit(vector, distance) for distance, vector in nearest]


def _distances(index: Index, query: array[float], vectors: Sequence[Vector]) -> Iterable[float]:
    """To every vector, as float32: 1 - cosine similarity, or the Euclidean distance."""
    if index.metric == "euclidean":
        return [float32(math.dist(vector.data, query)) for vector in vectors]
    values, norm = query.tolist(), math.hypot(*query)
    similar = (sum(map(operator.mul, vector.data, values)) / vector.norm / norm for vector in vectors)
    return [float32(1 - max(-1.0, min(1.0, each))) for each in similar]


def _classic(store: Store, index: Index, query: array[float], wanted: Filter, top: int) -> list[Hit]:
    looked_at = _nearest(index, query, list(index.vectors.values()), max(top, store.settings.classic_candidates))
    return [hit for hit in looked_at if wanted.matches(hit.vector.metadata)][:top]


def _word_hits(index: Index, vectors: Sequence[Vector], texts: Sequence[Json]) -> list[list[Hit]]:
    """One ranking a key, of those vectors that share a word with the query. Rarity is over the whole index."""
    kept = {vector.key: vector for vector in vectors}
    hits: dict[str, Hit] = {}
    rankings = []
    for text in texts:
        name = text["metadataKey"]
        scores = bm25(text["text"], {v.key: _text_of(v, name) for v in index.vectors.values() if name in v.metadata})
        ranked = sorted((key for key in scores if key in kept), key=lambda key: (-scores[key], key))
        for key in ranked:
            hits.setdefault(key, Hit(kept[key])).bm25[name] = float32(scores[key])
        rankings.append([hits[key] for key in ranked])
    return rankings


def _text_of(vector: Vector, name: str) -> str:
    value = vector.metadata[name]
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _by_words(rankings: Sequence[Sequence[Hit]], top: int) -> list[Hit]:
    """By the sum of the scores of the keys that were searched."""
    hits = {hit.vector.key: hit for ranking in rankings for hit in ranking}
    return sorted(hits.values(), key=lambda hit: (-sum(hit.bm25.values()), hit.vector.key))[:top]


def _hybrid(index: Index, query: array[float], vectors: Sequence[Vector], texts: Sequence[Json], top: int) -> list[Hit]:
    """The rankings by distance and by words fused; each goes as deep as a page, or as topK where that is more."""
    depth = max(top, PAGE)
    rankings = [ranking[:depth] for ranking in _word_hits(index, vectors, texts)]
    hits = {hit.vector.key: hit for ranking in rankings for hit in ranking}
    near = _nearest(index, query, vectors, depth)
    for each in near:
        hits.setdefault(each.vector.key, each).distance = each.distance
    scores = fused([[hit.vector.key for hit in ranking] for ranking in [near, *rankings]])
    for key, score in scores.items():
        hits[key].fused = float32(score)
    return [hits[key] for key in sorted(scores, key=lambda key: (-scores[key], key))[:top]]


def _query_vector(index: Index, request: Json) -> array[float]:
    data, _, fault = read_float32(request["queryVector"].get("float32", []), index)
    if fault is not None:
        raise invalid(f"Invalid query vector: {fault}", "queryVector", fault)
    return data


def _require_searchable(index: Index, texts: Sequence[Json]) -> None:
    if index.mode != "ENHANCED":
        raise invalid("Full-text and hybrid searches require a vector index in ENHANCED mode", "queryTexts")
    names = [text["metadataKey"] for text in texts]
    if len(set(names)) != len(names):
        raise invalid("Each queryTexts entry must target a distinct searchable metadata key", "queryTexts")
    for position, name in enumerate(names):
        if name not in index.text_keys:
            raise _not_searchable(index, name, position)


def _not_searchable(index: Index, name: str, position: int) -> VectorsError:
    known = ", ".join(index.text_keys) or "none"
    return invalid(
        f"The metadata key '{name}' is not full-text searchable in this index; searchable keys: {known}",
        f"queryTexts[{position}].metadataKey",
    )


def _shown(hit: Hit, request: Json) -> Json:
    shown: Json = {"key": hit.vector.key}
    if request.get("returnDistance") and hit.distance is not None:
        shown["distance"] = hit.distance
    if request.get("returnMetadata"):
        shown["metadata"] = hit.vector.metadata
    if request.get("returnScores") and request.get("queryTexts"):
        scores: Json = {"bm25Scores": [{"metadataKey": key, "score": score} for key, score in hit.bm25.items()]}
        if hit.fused is not None:
            scores["fused"] = hit.fused
            if hit.distance is not None:
                scores["vectorDistance"] = hit.distance
        shown["scores"] = scores
    return shown


def float32(value: float) -> float:
    """Rounded as the wire's floats are, which end at 3.4e38."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(FLOAT32_MAX, value)
