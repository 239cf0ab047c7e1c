"""What every store of vectors offers, whatever holds it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from trainer.retrieval.chunk import Hit
from trainer.retrieval.manifest import Manifest
from trainer.retrieval.where import Where

MOST_HITS = 100
"""`k` of one query; S3 Vectors' own limit, kept by every store so that one can stand for another."""


class StoreError(RuntimeError):
    """A store cannot be made, opened or asked; the message names the place, what is wrong and the mend."""


class VectorStore(Protocol):
    """Chunks that can be found by what they mean and say, among those whose labels fit."""

    @property
    def manifest(self) -> Manifest: ...

    def query(self, text: str, k: int, where: Where | None = None) -> list[Hit]:
        """The `k` best chunks, best first; fewer where fewer fit. Hits of one score are in the order of their ids.

        Raises ValueError for an empty text or a `k` outside 1..MOST_HITS, WhereError for a filter that says nothing,
        MismatchError where the index is not the one that was opened, and StoreError where the store does not answer.
        """
        ...

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Which of `ids` no chunk has, in their order."""
        ...


def require_query(text: str, k: int) -> None:
    if not text.strip():
        raise ValueError("the query is empty: give a question or some words")
    if not 1 <= k <= MOST_HITS:
        raise ValueError(f"k is {k}: give a number of passages from 1 to {MOST_HITS}")
