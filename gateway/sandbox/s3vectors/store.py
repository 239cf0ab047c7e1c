"""Buckets, indexes and vectors in memory, and who a request means: by name, or by ARN."""

from __future__ import annotations

import json
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.sandbox.s3vectors.errors import VectorsError, invalid, not_found
from gateway.sandbox.s3vectors.settings import VectorsSettings

Mode = Literal["CLASSIC", "ENHANCED"]
BEFORE_MODES_UNIX_SECONDS = 1_788_220_800
"""1 September 2026: when buckets with the classic prefix say they were made. Modes came on the 30th."""


@dataclass(frozen=True, slots=True)
class Vector:
    """`data`: float32. `norm`: its Euclidean length. `sequence` grows with every key that is new to the store."""

    key: str
    data: array[float]
    norm: float
    metadata: dict[str, Any]
    sequence: int
    size_bytes: int


@dataclass(slots=True)
class Index:
    bucket: str
    name: str
    arn: str
    created_unix_seconds: int
    dimension: int
    metric: Literal["cosine", "euclidean"]
    mode: Mode
    non_filterable: tuple[str, ...]
    text_keys: dict[str, str | None]
    """Full-text searchable keys and the language each was given."""
    encryption: dict[str, str]
    tags: dict[str, str]
    vectors: dict[str, Vector] = field(default_factory=dict)
    writes: deque[tuple[float, int]] = field(default_factory=deque)
    """(second, vectors) of writes and deletes in the last second."""


@dataclass(slots=True)
class Bucket:
    name: str
    arn: str
    created_unix_seconds: int
    old: bool
    """Made before index modes came, so that CLASSIC may be chosen in it."""
    default_mode: Mode
    encryption: dict[str, str]
    tags: dict[str, str]
    policy: str | None = None
    indexes: dict[str, Index] = field(default_factory=dict)


class Store:
    """Everything that the stand-in holds. Not safe for threads: its owner takes turns."""

    def __init__(self, settings: VectorsSettings, region: str, account: str, now: Callable[[], float]) -> None:
        self.settings = settings
        self.prefix = f"arn:aws:s3vectors:{region}:{account}:bucket/"
        self.now = now
        self.buckets: dict[str, Bucket] = {}
        self.bytes_held = 0
        self._sequence = 0

    def bucket(self, request: dict[str, Any]) -> Bucket:
        """The bucket by `vectorBucketName` or `vectorBucketArn`. VectorsError: NotFound-, ValidationException."""
        name: str | None = request.get("vectorBucketName")
        arn: str | None = request.get("vectorBucketArn")
        if (name is None) == (arn is None):
            raise invalid("Must specify either vectorBucketName or vectorBucketArn but not both")
        if arn is not None:
            name = arn.removeprefix(self.prefix) if arn.startswith(self.prefix) else None
        if name is None or name not in self.buckets:
            raise not_found("vector bucket")
        return self.buckets[name]

    def index(self, request: dict[str, Any]) -> Index:
        """The index by `indexArn`, or by bucket and name. VectorsError: NotFound-, ValidationException."""
        arn, bucket, name = (request.get(key) for key in ("indexArn", "vectorBucketName", "indexName"))
        by_name = bucket is not None and name is not None
        if (arn is None) is not by_name or (arn is not None and (bucket, name) != (None, None)):
            raise invalid("Must specify either indexArn or both vectorBucketName and indexName")
        if arn is not None:
            bucket, _, name = arn.removeprefix(self.prefix).partition("/index/") if self._ours(arn) else ("", "", "")
        # An unknown bucket is told as an unknown index, as the service does.
        if bucket not in self.buckets or name not in self.buckets[bucket].indexes:
            raise not_found("index")
        return self.buckets[bucket].indexes[name]

    def resource(self, arn: str) -> Bucket | Index:
        """The bucket or index behind an ARN, for tags."""
        if "/index/" in arn:
            return self.index({"indexArn": arn})
        return self.bucket({"vectorBucketArn": arn})

    def _ours(self, arn: str) -> bool:
        return arn.startswith(self.prefix)

    def put(self, index: Index, vectors: Iterable[Vector]) -> None:
        """Add or overwrite; all or none. VectorsError: ServiceQuotaExceededException when the memory is full."""
        vectors = list(vectors)
        old = (index.vectors.get(vector.key) for vector in vectors)
        growth = sum(vector.size_bytes for vector in vectors) - sum(each.size_bytes for each in old if each)
        if self.bytes_held + growth > self.settings.max_bytes:
            raise VectorsError(
                "ServiceQuotaExceededException",
                f"The sandbox holds {self.bytes_held} bytes of vectors, and {growth} more would pass its limit of "
                f"{self.settings.max_bytes}: delete vectors, or raise s3vectors.max_bytes.",
            )
        self.bytes_held += growth
        for vector in vectors:
            index.vectors[vector.key] = vector

    def delete(self, index: Index, keys: Iterable[str]) -> None:
        for key in keys:
            vector = index.vectors.pop(key, None)
            self.bytes_held -= vector.size_bytes if vector else 0

    def vector(self, index: Index, key: str, data: array[float], norm: float, metadata: dict[str, Any]) -> Vector:
        """A vector that is ready to be put."""
        before = index.vectors.get(key)
        if before is None:
            self._sequence += 1
        size = 4 * len(data) + len(json.dumps(metadata, ensure_ascii=False).encode()) + len(key.encode())
        return Vector(key, data, norm, metadata, before.sequence if before else self._sequence, size)

    def drop_index(self, index: Index) -> None:
        self.delete(index, list(index.vectors))
        del self.buckets[index.bucket].indexes[index.name]
