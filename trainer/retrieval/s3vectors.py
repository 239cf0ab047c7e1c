"""The store on Amazon S3 Vectors, with botocore alone: queries over an index that is there.

A chunk is a vector: its key is the chunk's id, its metadata the labels (filterable), the text and the index's
manifest (not filterable). S3 Vectors keeps no facts of an index's own, so each vector carries the manifest, and each
answer is checked by it. The manifest names the chunk that is written last: an index that lacks it was never finished.
Making an index: `s3vectors_index`.

In mode `hybrid` S3 Vectors ranks by vectors and by BM25 over the texts and fuses both (index mode ENHANCED). A CLASSIC
index filters while it searches, and may answer with fewer chunks than fit.
Source: AWS, the service's API reference (`QueryVectors`), and botocore's model of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from trainer.retrieval.aws import AwsError, call
from trainer.retrieval.chunk import Hit, Label
from trainer.retrieval.embedder import Embedder
from trainer.retrieval.manifest import Manifest, MismatchError, require_embedder
from trainer.retrieval.store import StoreError, require_query
from trainer.retrieval.where import Where, as_filter, parse_where

TEXT_KEY = "text"
MANIFEST_KEY = "manifest"
LAST_DETAIL = "last_chunk"
"""In the manifest's details: the id of the chunk that is written last."""
GET_AT_A_TIME = 100
LONGEST_QUERY_TEXT = 1024
"""Characters that S3 Vectors takes to search words by. The vector is of the whole query."""
_DECIMALS = 6
_SCHEME = "s3vectors://"
_PLACE = re.compile(r"s3vectors://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])")


@dataclass(frozen=True)
class Place:
    """An index's bucket and name, written `s3vectors://BUCKET/INDEX`."""

    bucket: str
    index: str

    def __str__(self) -> str:
        return f"{_SCHEME}{self.bucket}/{self.index}"

    @property
    def parameters(self) -> dict[str, str]:
        return {"vectorBucketName": self.bucket, "indexName": self.index}


def is_place(text: str) -> bool:
    return text.startswith(_SCHEME)


def parse_place(text: str) -> Place:
    """Raises StoreError for what is no place, or holds names that S3 Vectors does not take."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise StoreError(
            f"{text!r} is no index of S3 Vectors: write {_SCHEME}BUCKET/INDEX, names of 3 to 63 small letters, "
            "digits, dots and dashes"
        )
    return Place(*found.groups())


class S3VectorsStore:
    """An index that `open_s3vectors` or `s3vectors_index.build` gave."""

    def __init__(self, client: Any, place: Place, embedder: Embedder, manifest: Manifest) -> None:
        self._client, self._place, self._embedder, self._manifest = client, place, embedder, manifest
        self._written = manifest_text(manifest)

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    def query(self, text: str, k: int, where: Where | None = None) -> list[Hit]:
        """See `VectorStore.query`. `score`: the fused reciprocal ranks, or 1 less the cosine distance."""
        require_query(text, k)
        manifest, embedder = self._manifest, self._embedder
        require_embedder(manifest, embedder.name, embedder.dimensions, embedder.normalised, str(self._place))
        parameters: dict[str, Any] = {
            **self._place.parameters,
            "topK": k,
            "queryVector": {"float32": embedder.embed([text])[0].tolist()},
            "queryMode": manifest.details["index_mode"],
            "returnMetadata": True,
            "returnDistance": True,
        }
        if manifest.mode == "hybrid":
            parameters["queryTexts"] = [{"text": _cut(text), "metadataKey": TEXT_KEY}]
            parameters["returnScores"] = True
        if where is not None:
            parameters["filter"] = as_filter(parse_where(where, manifest.filterable))
        hits = [self._hit(vector) for vector in self._pages(parameters, k)]
        if not hits:  # nothing that carries a manifest came back
            self._require_same(manifest_text(read_manifest(self._client, self._place)))
        return sorted(hits, key=lambda hit: (-hit.score, hit.id))

    def missing(self, ids: Iterable[str]) -> list[str]:
        wanted = list(ids)
        found: set[str] = set()
        unique = sorted(set(wanted))
        for start in range(0, len(unique), GET_AT_A_TIME):
            keys = unique[start : start + GET_AT_A_TIME]
            what = f"looking for chunks in {self._place}"
            answer = _call(self._client.get_vectors, what, self._place.parameters, keys=keys)
            found |= {vector["key"] for vector in answer["vectors"]}
        return [each for each in wanted if each not in found]

    def _pages(self, parameters: dict[str, Any], k: int) -> list[dict[str, Any]]:
        vectors: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while len(vectors) < k:
            answer = _call(self._client.query_vectors, f"querying {self._place}", {**parameters, **token})
            vectors += answer["vectors"]
            if not answer.get("nextToken"):
                break
            token = {"nextToken": answer["nextToken"]}
        return vectors[:k]

    def _hit(self, vector: dict[str, Any]) -> Hit:
        metadata: dict[str, Label] = dict(vector.get("metadata") or {})
        self._require_same(str(metadata.pop(MANIFEST_KEY, "")))
        text = metadata.pop(TEXT_KEY, None)
        if not isinstance(text, str):
            raise StoreError(f"the vector {vector['key']!r} in {self._place} carries no text: make the index again")
        scores = vector.get("scores") or {}
        score = scores["fused"] if "fused" in scores else 1 - vector["distance"]
        return Hit(vector["key"], text, round(float(score), _DECIMALS), metadata)

    def _require_same(self, written: str) -> None:
        if written == self._written:
            return
        try:
            now = msgspec.json.decode(written, type=Manifest)
        except msgspec.MsgspecError:
            raise MismatchError(
                f"{self._place} holds a vector that no index of ours wrote: make the index again"
            ) from None
        for what in Manifest.__struct_fields__:
            if getattr(now, what) != getattr(self._manifest, what):
                raise MismatchError(
                    f"{self._place} holds a vector whose index has the {what} {getattr(now, what)!r}, and it was "
                    f"opened with {getattr(self._manifest, what)!r}: open it again, or make it again if two were mixed"
                )


def open_s3vectors(client: Any, place: Place, embedder: Embedder) -> S3VectorsStore:
    """Raises StoreError where there is no index, none of ours or one that was not finished, and MismatchError where
    `embedder` is another one."""
    manifest = read_manifest(client, place)
    require_embedder(manifest, embedder.name, embedder.dimensions, embedder.normalised, str(place))
    store = S3VectorsStore(client, place, embedder, manifest)
    if store.missing([manifest.details[LAST_DETAIL]]):
        raise StoreError(
            f"{place} was not finished: of its {manifest.chunks} chunks the last is not there: make the index again "
            "with --replace"
        )
    return store


def read_manifest(client: Any, place: Place) -> Manifest:
    """From any vector of the index. Raises StoreError."""
    answer = _call(client.list_vectors, f"opening {place}", place.parameters, maxResults=1, returnMetadata=True)
    metadata = answer["vectors"][0].get("metadata") if answer["vectors"] else None
    try:
        manifest = msgspec.json.decode(str((metadata or {})[MANIFEST_KEY]), type=Manifest)
        if not {"index_mode", LAST_DETAIL} <= manifest.details.keys():
            raise KeyError(LAST_DETAIL)
        return manifest
    except (KeyError, msgspec.MsgspecError):
        what = "a vector without our manifest" if answer["vectors"] else "no vectors"
        raise StoreError(f"{place} holds {what}: make the index with `crossover adapter index`") from None


def manifest_text(manifest: Manifest) -> str:
    """As each vector carries it: equal manifests are equal texts."""
    return msgspec.json.encode(manifest, order="sorted").decode()


def _call(operation: Any, what: str, parameters: Mapping[str, Any], **more: Any) -> Any:
    """An answer that has `vectors`."""
    try:
        return call(operation, what, "vectors", **parameters, **more)
    except AwsError as error:
        raise StoreError(str(error)) from None


def _cut(text: str) -> str:
    """The first whole words that S3 Vectors takes."""
    if len(text) <= LONGEST_QUERY_TEXT:
        return text
    cut = text[: LONGEST_QUERY_TEXT + 1]
    return cut.rsplit(None, 1)[0] if any(map(str.isspace, cut)) else text[:LONGEST_QUERY_TEXT]
