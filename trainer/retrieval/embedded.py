"""The store that needs no account: exact search over all chunks in memory, by cosine, by BM25, or by both.

Exact: every chunk that fits the filter is scored, so the filter comes first and never costs a result. A query over
10,000 chunks of 80 words takes about 30 ms of CPU, beside embedding the question, and the search by words 50 MB.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.retrieval import bm25, fusion
from trainer.retrieval.bm25 import Bm25
from trainer.retrieval.chunk import Chunk, Hit
from trainer.retrieval.embedder import Embedder, Progress
from trainer.retrieval.index_files import IndexFiles, read_index, write_index
from trainer.retrieval.manifest import (
    NO_EMBEDDER,
    Manifest,
    MismatchError,
    Mode,
    corpus_hash,
    require_embedder,
)
from trainer.retrieval.store import StoreError, require_query
from trainer.retrieval.where import Where, matches, parse_where

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DECIMALS = 6
"""Scores are compared to so many: the last bits of a dot product differ between machines, an order must not."""
_LENGTH_TOLERANCE = 1e-3


class EmbeddedStore:
    """Chunks in the order of their ids, and beside them a row of `vectors` for each (none in mode `bm25`).

    Not safe for threads that build; queries may run beside each other.
    """

    def __init__(
        self,
        chunks: Sequence[Chunk],
        vectors: NDArray[np.float32] | None,
        embedder: Embedder | None,
        manifest: Manifest,
        files: IndexFiles | None = None,
    ) -> None:
        """Use `build` or `open_index`. `files`: where it was read from, if it was."""
        self._chunks, self._vectors, self._embedder = chunks, vectors, embedder
        self._manifest, self._files = manifest, files
        self._bm25 = None if manifest.mode == "vector" else Bm25(chunk.text for chunk in chunks)
        self._ids = {chunk.id for chunk in chunks}

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    @property
    def vectors(self) -> NDArray[np.float32] | None:
        """[chunks, dimensions], in the order of the ids."""
        return self._vectors

    def query(self, text: str, k: int, where: Where | None = None) -> list[Hit]:
        """See `VectorStore.query`. `score`: the reciprocal ranks' sum, the cosine, or BM25's, by the index's mode."""
        require_query(text, k)
        if self._files is not None:
            self._files.require_unchanged(self._manifest)
        candidates = self._candidates(where)
        rankings: list[dict[int, float]] = []
        if self._bm25 is not None:
            found = self._bm25.scores(text)
            rankings.append({n: round(found[n], _DECIMALS) for n in candidates if n in found})
        if self._manifest.mode != "bm25":
            rankings.append(self._cosines(text, candidates))
        scores = rankings[0] if len(rankings) == 1 else fusion.fused(map(fusion.ranked, rankings))
        hits = ((self._chunks[number], scores[number]) for number in fusion.ranked(scores)[:k])
        return [Hit(chunk.id, chunk.text, score, chunk.labels) for chunk, score in hits]

    def missing(self, ids: Iterable[str]) -> list[str]:
        return [each for each in ids if each not in self._ids]

    def save(self, folder: Path) -> None:
        """Write the index into `folder`, in place of what index is there. Raises StoreError and OSError."""
        self._files = write_index(folder, self._manifest, self._chunks, self._vectors)

    def _candidates(self, where: Where | None) -> Sequence[int]:
        if where is None:
            return range(len(self._chunks))
        clause = parse_where(where, self._manifest.filterable)
        return [number for number, chunk in enumerate(self._chunks) if matches(clause, chunk.labels)]

    def _cosines(self, text: str, candidates: Sequence[int]) -> dict[int, float]:
        vectors, embedder = self._vectors, self._embedder
        if vectors is None or embedder is None:
            raise MismatchError(
                f"the index was made with the embedder {self._manifest.embedder!r} and is opened without one: give it"
            )
        where = str(self._files.folder) if self._files else "in memory"
        require_embedder(self._manifest, embedder.name, embedder.dimensions, embedder.normalised, where)
        vector = embedder.embed([text])[0]
        length = float((vector * vector).sum()) ** 0.5
        require_embedder(self._manifest, embedder.name, len(vector), abs(length - 1) < _LENGTH_TOLERANCE, where)
        chosen = vectors if len(candidates) == len(self._chunks) else vectors[list(candidates)]
        return dict(zip(candidates, (chosen @ vector).round(_DECIMALS).tolist(), strict=True))


def build(
    chunks: Sequence[Chunk], embedder: Embedder | None, mode: Mode, progress: Progress | None = None
) -> EmbeddedStore:
    """An index in memory; `save` writes it. Mode `bm25` needs no embedder, the others need one.

    Raises StoreError for chunks that no store can hold, and EmbedderError.
    """
    if (embedder is None) != (mode == "bm25"):
        raise ValueError(f"mode {mode!r} and embedder {embedder and embedder.name!r}: only `bm25` works without one")
    if not chunks:
        raise StoreError("there are no chunks to index: give at least one page")
    ordered = sorted(chunks, key=lambda chunk: chunk.id)
    for one, other in itertools.pairwise(ordered):
        if one.id == other.id:
            raise StoreError(f"two chunks have the id {one.id!r}: give each page its own")
    vectors = embedder.embed([chunk.text for chunk in ordered], progress) if embedder else None
    manifest = Manifest(
        store="embedded",
        mode=mode,
        embedder=embedder.name if embedder else NO_EMBEDDER,
        dimensions=embedder.dimensions if embedder else 0,
        normalised=embedder.normalised if embedder else False,
        corpus_sha256=corpus_hash(ordered),
        chunks=len(ordered),
        filterable=labels_of(ordered),
        details=_details(mode),
    )
    return EmbeddedStore(ordered, vectors, embedder, manifest)


def _details(mode: Mode) -> dict[str, str]:
    """What this program searches with, as the manifest says it."""
    words = {"k1": str(bm25.K1), "b": str(bm25.B)} if mode != "vector" else {}
    return {**words, **({"rrf_k": str(fusion.K)} if mode == "hybrid" else {})}


def labels_of(chunks: Iterable[Chunk]) -> tuple[str, ...]:
    """Names of all labels, sorted."""
    return tuple(sorted({label for chunk in chunks for label in chunk.labels}))


def open_index(folder: Path, embedder: Embedder | None) -> EmbeddedStore:
    """The index in `folder`. Raises StoreError where its files are missing, changed or broken, and MismatchError where
    `embedder` is not the one that made it, or this program does not search as its manifest says."""
    manifest, chunks, vectors, files = read_index(folder)
    if manifest.store != "embedded" or manifest.details != _details(manifest.mode):
        raise MismatchError(
            f"the index in {folder} was made for {manifest.store} {manifest.details}, and this program searches a "
            f"folder with {_details(manifest.mode)}: make the index again"
        )
    if manifest.mode != "bm25" and embedder is not None:
        require_embedder(manifest, embedder.name, embedder.dimensions, embedder.normalised, str(folder))
    return EmbeddedStore(chunks, vectors, None if manifest.mode == "bm25" else embedder, manifest, files)
