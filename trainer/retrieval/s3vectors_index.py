"""Making an index on Amazon S3 Vectors: the bucket, the index, its mode, and the vectors in batches.

Limits: Amazon S3 User Guide, "Limitations and restrictions" of S3 Vectors. `CreateIndex` takes no mode: an index gets
its bucket's default, and `UpdateIndexMode` changes it. Only buckets made before 30 September 2026 hold CLASSIC ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from trainer.retrieval.aws import AwsError, call
from trainer.retrieval.chunk import Chunk
from trainer.retrieval.embedded import labels_of
from trainer.retrieval.embedder import Embedder, Progress
from trainer.retrieval.manifest import Manifest, Mode, corpus_hash
from trainer.retrieval.s3vectors import LAST_DETAIL, MANIFEST_KEY, TEXT_KEY, Place, S3VectorsStore, manifest_text
from trainer.retrieval.store import StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IndexMode = Literal["CLASSIC", "ENHANCED"]
PUT_AT_A_TIME = 500
PUT_BYTES = 8 << 20
"""Of one request, about: 500 long chunks would be more than S3 Vectors takes at once."""
MOST_KEY = 1024
MOST_METADATA_KEYS = 50
MOST_METADATA_BYTES = 40 << 10
MOST_FILTERABLE_BYTES = 2 << 10
MOST_DIMENSIONS = 4096
_BYTES_A_NUMBER = 22
_BYTES_OF_METADATA = 5
"""Which S3 Vectors counts besides the compact JSON: measured by others at both limits, docs/sandbox-s3vectors.md."""
_WAIT_SECONDS = 120.0
_POLL_SECONDS = 1.0


def build(
    client: Any,
    place: Place,
    chunks: Sequence[Chunk],
    embedder: Embedder,
    mode: Mode = "hybrid",
    index_mode: IndexMode = "ENHANCED",
    *,
    language: str | None = None,
    make_bucket: bool = False,
    replace: bool = False,
    progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> S3VectorsStore:
    """Embed the chunks and put them into a new index. `language`: like `en`, for stems and stop words in the search by
    words; None: S3 Vectors' standard analyzer. `replace`: an index of this name is deleted first.

    Raises StoreError with every chunk that S3 Vectors would refuse before anything is made, and EmbedderError.
    """
    if mode == "bm25":
        raise StoreError("mode bm25 has no vectors to put into S3 Vectors: use hybrid or vector, or a folder")
    if mode == "hybrid" and index_mode == "CLASSIC":
        raise StoreError("a CLASSIC index searches by vectors alone: use mode vector, or an ENHANCED index")
    manifest = Manifest(
        store="s3vectors",
        mode=mode,
        embedder=embedder.name,
        dimensions=embedder.dimensions,
        normalised=embedder.normalised,
        corpus_sha256=corpus_hash(chunks),
        chunks=len(chunks),
        filterable=labels_of(chunks),
        details={
            "index_mode": index_mode,
            **({"language": language or "standard"} if mode == "hybrid" else {}),
            **({LAST_DETAIL: chunks[-1].id} if chunks else {}),
        },
    )
    problems = [*_problems_of_language(client, language), *_problems(chunks, manifest)]
    if problems:
        more = [f"and {len(problems) - 100} more like these"] if len(problems) > 100 else []
        raise StoreError("\n".join([*problems[:100], *more]))
    vectors = embedder.embed([chunk.text for chunk in chunks], progress)
    try:
        if make_bucket:
            _make_bucket(client, place)
        _make_index(client, place, manifest, replace)
        _set_mode(client, place, manifest, language)
        _wait_for_texts(client, place, sleep)
        for batch in _batches(chunks, vectors, manifest):
            call(client.put_vectors, f"writing {len(batch)} chunks to {place}", **place.parameters, vectors=batch)
    except AwsError as error:
        raise StoreError(str(error)) from None
    return S3VectorsStore(client, place, embedder, manifest)


def _problems(chunks: Sequence[Chunk], manifest: Manifest) -> Iterator[str]:
    if not chunks:
        yield "there are no chunks to index: give at least one page"
    if not 1 <= manifest.dimensions <= MOST_DIMENSIONS:
        yield f"the embedder has {manifest.dimensions} dimensions: S3 Vectors takes 1 to {MOST_DIMENSIONS}"
    for chunk in chunks:
        labels = len(msgspec.json.encode(chunk.labels)) + _BYTES_OF_METADATA
        total = len(msgspec.json.encode(_metadata(chunk, manifest))) + _BYTES_OF_METADATA
        for what, found, most, mend in (
            ("an id of {} characters", len(chunk.id), MOST_KEY, "shorten it"),
            ("{} labels", len(chunk.labels), MOST_METADATA_KEYS - 2, "use fewer"),
            ("{:,} bytes of labels", labels, MOST_FILTERABLE_BYTES, "shorten them"),
            ("{:,} bytes of text and labels", total, MOST_METADATA_BYTES, "make several pages of it"),
        ):
            if found > most:
                yield f"chunk {chunk.id[:80]!r} has {what.format(found)}: S3 Vectors takes up to {most:,}; {mend}"


def _problems_of_language(client: Any, language: str | None) -> Iterator[str]:
    known = client.meta.service_model.shape_for("LanguageCode").enum
    if language is not None and language not in known:
        yield f"the language is {language!r}: S3 Vectors searches words in {', '.join(known)}; give one, or none"


def _make_bucket(client: Any, place: Place) -> None:
    try:
        call(client.create_vector_bucket, f"making the bucket {place.bucket}", vectorBucketName=place.bucket)
    except AwsError as error:
        if error.code != "ConflictException":  # it is there
            raise


def _make_index(client: Any, place: Place, manifest: Manifest, replace: bool) -> None:
    if replace:
        try:
            call(client.delete_index, f"deleting {place}", **place.parameters)
        except AwsError as error:
            if error.code != "NotFoundException":
                raise
    call(
        client.create_index,
        f"making {place}",
        **place.parameters,
        dataType="float32",
        dimension=manifest.dimensions,
        distanceMetric="cosine",
        metadataConfiguration={"nonFilterableMetadataKeys": [TEXT_KEY, MANIFEST_KEY]},
    )


def _set_mode(client: Any, place: Place, manifest: Manifest, language: str | None) -> None:
    wanted = manifest.details["index_mode"]
    index = call(client.get_index, f"looking at {place}", "index", **place.parameters)["index"]
    if index.get("indexMode", "CLASSIC") != wanted:
        call(client.update_index_mode, f"making {place} {wanted}", **place.parameters, indexMode=wanted)
    if manifest.mode == "hybrid":
        texts = {"metadataKey": TEXT_KEY, **({"language": language} if language else {})}
        what = f"making the texts of {place} searchable"
        call(client.update_metadata_configuration, what, **place.parameters, add={"textSearchConfigurations": [texts]})


def _wait_for_texts(client: Any, place: Place, sleep: Callable[[float], None]) -> None:
    """Until the index by words is built: a query before that is refused."""
    for _ in range(round(_WAIT_SECONDS / _POLL_SECONDS)):
        index = call(client.get_index, f"looking at {place}", "index", **place.parameters)["index"]
        texts = index.get("metadataConfiguration", {}).get("textSearchConfigurations", [])
        if all(each.get("status", "ACTIVE") == "ACTIVE" for each in texts):
            return
        sleep(_POLL_SECONDS)
    raise StoreError(f"the search by words in {place} was not ready after {_WAIT_SECONDS:.0f} s: index again later")


def _batches(
    chunks: Sequence[Chunk], vectors: NDArray[np.float32], manifest: Manifest
) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for chunk, vector in zip(chunks, vectors, strict=True):
        metadata = _metadata(chunk, manifest)
        bytes_more = len(msgspec.json.encode(metadata)) + len(vector) * _BYTES_A_NUMBER
        if batch and (len(batch) == PUT_AT_A_TIME or size + bytes_more > PUT_BYTES):
            yield batch
            batch, size = [], 0
        batch.append({"key": chunk.id, "data": {"float32": vector.tolist()}, "metadata": metadata})
        size += bytes_more
    if batch:
        yield batch


def _metadata(chunk: Chunk, manifest: Manifest) -> dict[str, Any]:
    return {**chunk.labels, TEXT_KEY: chunk.text, MANIFEST_KEY: manifest_text(manifest)}
