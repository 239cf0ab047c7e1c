"""PutVectors, GetVectors, ListVectors, DeleteVectors. Each takes the store and a request that was checked."""

from __future__ import annotations

import math
import time
import zlib
from array import array
from collections.abc import Sequence
from typing import Any

from gateway.sandbox.s3vectors.errors import VectorsError, invalid
from gateway.sandbox.s3vectors.metadata import fault_of
from gateway.sandbox.s3vectors.paging import decode, encode
from gateway.sandbox.s3vectors.store import Index, Store, Vector

Json = dict[str, Any]

LIST_PAGE = 500
LIST_BYTES = 1_000_000
"""A page ends with the vector that takes it past this, whatever is returned of it."""


def put_vectors(store: Store, request: Json) -> Json:
    """All of them, or none. A key that is there already is overwritten whole."""
    index = store.index(request)
    _require_distinct([record["key"] for record in request["vectors"]], "vectors")
    vectors = []
    for position, record in enumerate(request["vectors"]):
        key, metadata = record["key"], record.get("metadata", {})
        data, norm, fault = read_float32(record["data"].get("float32", []), index)
        if fault is not None:
            raise _bad_record(key, f"vectors[{position}].data", fault)
        fault = fault_of(metadata, index.non_filterable)
        if fault is not None:
            raise _bad_record(key, f"vectors[{position}].metadata", fault)
        vectors.append(store.vector(index, key, data, norm, metadata))
    _pace(store, index, len(vectors))
    store.put(index, vectors)
    return {}


def get_vectors(store: Store, request: Json) -> Json:
    """Those that are there, in the order of the keys; keys that are not there are left out."""
    index = store.index(request)
    found = [index.vectors[key] for key in dict.fromkeys(request["keys"]) if key in index.vectors]
    return {"vectors": [_shown(vector, request) for vector in found]}


def delete_vectors(store: Store, request: Json) -> Json:
    """Keys that are not there are no error."""
    index = store.index(request)
    _require_distinct(request["keys"], "keys")
    _pace(store, index, len(request["keys"]))
    store.delete(index, request["keys"])
    return {}


def list_vectors(store: Store, request: Json) -> Json:
    """A page of one segment, in the order in which the keys came; what is deleted between pages is left out."""
    index = store.index(request)
    count, segment = request.get("segmentCount"), request.get("segmentIndex")
    if (count is None) != (segment is None):
        raise invalid("segmentCount and segmentIndex must be given together")
    if count is not None and segment is not None and segment >= count:
        raise invalid(f"segmentIndex must be less than segmentCount, and {segment} is not less than {count}")
    after = decode(request["nextToken"], int, index.arn, count, segment) if "nextToken" in request else 0
    size = request.get("maxResults", LIST_PAGE)
    page: list[Vector] = []
    processed = 0
    more = False
    for vector in index.vectors.values():
        if vector.sequence <= after or (count is not None and zlib.crc32(vector.key.encode()) % count != segment):
            continue
        if len(page) == size or processed > LIST_BYTES:
            more = True
            break
        page.append(vector)
        processed += vector.size_bytes
    token = {"nextToken": encode(page[-1].sequence, index.arn, count, segment)} if more else {}
    return {"vectors": [_shown(vector, request) for vector in page], **token}


def read_float32(values: Sequence[float], index: Index) -> tuple[array[float], float, str | None]:
    """The values as float32, their norm, and what is wrong with them for this index, or None."""
    try:
        data = array("f", values)
    except OverflowError:
        data = array("f", [math.inf])
    norm = math.hypot(*data)
    if len(values) != index.dimension:
        return data, norm, f"vector must have length {index.dimension}, but has length {len(values)}"
    if not math.isfinite(norm):
        return data, norm, "vector must contain only finite float32 values: no NaN, no Infinity"
    if norm == 0 and index.metric == "cosine":
        return data, norm, "vector has zero norm, which the cosine distance does not allow"
    return data, norm, None


def _shown(vector: Vector, request: Json) -> Json:
    shown: Json = {"key": vector.key}
    if request.get("returnData"):
        shown["data"] = {"float32": vector.data.tolist()}
    if request.get("returnMetadata"):
        shown["metadata"] = vector.metadata
    return shown


def _bad_record(key: str, path: str, fault: str) -> VectorsError:
    return invalid(f"Invalid record for key '{key}': {fault}", path, fault)


def _require_distinct(keys: Sequence[str], path: str) -> None:
    if len(set(keys)) != len(keys):
        twice = next(key for position, key in enumerate(keys) if key in keys[:position])
        raise invalid(f"Duplicate key '{twice}': every key of a request must be given once", path)


def _pace(store: Store, index: Index, count: int) -> None:
    """Count a write, or refuse it: so many vectors are written and deleted in an index in any second of real time."""
    limit = store.settings.vectors_per_second
    if limit is None:
        return
    now = time.monotonic()
    while index.writes and now - index.writes[0][0] >= 1:
        index.writes.popleft()
    if sum(written for _, written in index.writes) + count > limit:
        raise VectorsError(
            "TooManyRequestsException",
            f"More than {limit} vectors were written and deleted in this index within a second. Wait and try again.",
        )
    index.writes.append((now, count))
