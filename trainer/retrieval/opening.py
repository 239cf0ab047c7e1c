"""An index by its address: a folder, or `s3vectors://BUCKET/INDEX`; and the embedder that its manifest names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.retrieval.embedder import Embedder, EmbedderError
from trainer.retrieval.manifest import NO_EMBEDDER, Manifest
from trainer.retrieval.store import VectorStore

EmbedderName = Literal["minilm", "titan", "none"]


@dataclass(frozen=True)
class Aws:
    """Where AWS is. None: as AWS's own tools find it (AWS_REGION, AWS_ENDPOINT_URL_S3VECTORS, profiles)."""

    region: str | None = None
    s3vectors_url: str | None = None
    bedrock_url: str | None = None


def make_embedder(name: EmbedderName, aws: Aws, say: Callable[[str], None]) -> Embedder | None:
    """`minilm`: its weights are fetched the first time. Raises EmbedderError, and AwsError for no region."""
    if name == "minilm":
        from trainer.retrieval.minilm.embedder import MiniLm, require_numpy
        from trainer.retrieval.minilm.weights import install_minilm

        require_numpy()  # before anything is fetched
        return MiniLm(install_minilm(say))
    if name == "titan":
        from trainer.retrieval.aws import client
        from trainer.retrieval.titan import Titan

        return Titan(client("bedrock-runtime", aws.region, aws.bedrock_url))
    return None


def open_store(address: str, aws: Aws, say: Callable[[str], None]) -> VectorStore:
    """The store at `address` with the embedder it was made with. Raises StoreError, EmbedderError, MismatchError and
    AwsError."""
    from trainer.retrieval.s3vectors import is_place

    if is_place(address):
        from trainer.retrieval.aws import client
        from trainer.retrieval.s3vectors import open_s3vectors, parse_place, read_manifest

        place = parse_place(address)
        s3vectors = client("s3vectors", aws.region, aws.s3vectors_url)
        embedder = _embedder_of(read_manifest(s3vectors, place), aws, say)
        if embedder is None:
            raise EmbedderError(f"{address} names no embedder in its manifest: make the index again")
        return open_s3vectors(s3vectors, place, embedder)
    from trainer.retrieval.embedded import open_index
    from trainer.retrieval.index_files import read_manifest as read_manifest_of_folder

    folder = Path(address)
    return open_index(folder, _embedder_of(read_manifest_of_folder(folder), aws, say))


def _embedder_of(manifest: Manifest, aws: Aws, say: Callable[[str], None]) -> Embedder | None:
    if manifest.embedder == NO_EMBEDDER:
        return None
    if manifest.embedder.startswith("minilm:"):
        return make_embedder("minilm", aws, say)
    if manifest.embedder.startswith("amazon.titan-embed-text-v2"):
        return make_embedder("titan", aws, say)
    raise EmbedderError(
        f"the index was made with the embedder {manifest.embedder!r}, and this program has minilm and titan: "
        "make the index again with one of them"
    )
