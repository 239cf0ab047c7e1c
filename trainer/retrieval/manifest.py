"""What an index was made of and how. It travels with the index, and every query is checked against it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

import msgspec

from trainer.retrieval.chunk import Chunk

Mode = Literal["hybrid", "vector", "bm25"]
"""`hybrid`: meaning and words, fused by reciprocal rank. `vector`: meaning alone. `bm25`: words alone, no weights."""

NO_EMBEDDER = "none"


class MismatchError(ValueError):
    """An index does not fit what queries it; the message names both values and the mend."""


class Manifest(msgspec.Struct, frozen=True):
    """One index's facts. Two queries with equal manifests search the same texts in the same way."""

    store: Literal["embedded", "s3vectors"]
    mode: Mode
    embedder: str
    """Its name with the hash of its weights, like `all-minilm-l6-v2:53aa5117`; `none` in mode `bm25`."""
    dimensions: int
    """Of a vector; 0 in mode `bm25`."""
    normalised: bool
    """Every vector has the length 1, so that a dot product is the cosine."""
    corpus_sha256: str
    """`corpus_hash` of the chunks."""
    chunks: int
    filterable: tuple[str, ...]
    """Labels that a `where` may name, sorted."""
    details: dict[str, str] = {}
    """What else decides an order of hits: `k1` and `b` of BM25, `rrf_k`; of S3 Vectors, the index's mode."""
    schema: Literal[1] = 1

    def as_text(self) -> dict[str, str]:
        """Flat, for a frozen set's `index`."""
        flat = msgspec.to_builtins(self)
        details = flat.pop("details")
        flat["filterable"] = ",".join(self.filterable)
        flat["normalised"] = "true" if self.normalised else "false"
        return {key: str(value) for key, value in {**flat, **details}.items()}


def corpus_hash(chunks: Sequence[Chunk]) -> str:
    """SHA-256 in hex over ids, texts and labels, whatever the order of the chunks."""
    ordered = sorted(chunks, key=lambda chunk: chunk.id)
    return sha256(msgspec.json.encode(ordered, order="sorted")).hexdigest()


def require_embedder(manifest: Manifest, name: str, dimensions: int, normalised: bool, index: str) -> None:
    """Raises MismatchError where the index was made by another embedder than the one that embeds the query."""
    for what, has, wanted in (
        ("embedder", name, manifest.embedder),
        ("dimensions", dimensions, manifest.dimensions),
        ("normalised", normalised, manifest.normalised),
    ):
        if has != wanted:
            raise MismatchError(
                f"{what} of the query is {has!r} and the index {index} was made with {wanted!r}: "
                f"query it with {manifest.embedder!r}, or make the index again"
            )
