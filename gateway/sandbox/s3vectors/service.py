"""The service as the sandbox's server sees it: which requests are its own, and the answer to one."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote

from gateway.sandbox.s3vectors import resources, vectors
from gateway.sandbox.s3vectors.errors import VectorsError, invalid
from gateway.sandbox.s3vectors.faults import VectorsFault, VectorsFaults
from gateway.sandbox.s3vectors.query import Queries
from gateway.sandbox.s3vectors.settings import VectorsSettings
from gateway.sandbox.s3vectors.shapes import checked
from gateway.sandbox.s3vectors.store import Store

Json = dict[str, Any]

MAX_BODY_BYTES = 20 * 1024 * 1024
_TAGS = "/tags/"
_TAG_OPERATIONS = {"GET": "ListTagsForResource", "POST": "TagResource", "DELETE": "UntagResource"}

_OPERATIONS: dict[str, Callable[[Store, Json], Json]] = {
    "CreateVectorBucket": resources.create_vector_bucket,
    "GetVectorBucket": resources.get_vector_bucket,
    "ListVectorBuckets": resources.list_vector_buckets,
    "DeleteVectorBucket": resources.delete_vector_bucket,
    "PutVectorBucketDefaultIndexMode": resources.put_vector_bucket_default_index_mode,
    "PutVectorBucketPolicy": resources.put_vector_bucket_policy,
    "GetVectorBucketPolicy": resources.get_vector_bucket_policy,
    "DeleteVectorBucketPolicy": resources.delete_vector_bucket_policy,
    "CreateIndex": resources.create_index,
    "GetIndex": resources.get_index,
    "ListIndexes": resources.list_indexes,
    "DeleteIndex": resources.delete_index,
    "UpdateIndexMode": resources.update_index_mode,
    "UpdateMetadataConfiguration": resources.update_metadata_configuration,
    "ListTagsForResource": resources.list_tags_for_resource,
    "TagResource": resources.tag_resource,
    "UntagResource": resources.untag_resource,
    "PutVectors": vectors.put_vectors,
    "GetVectors": vectors.get_vectors,
    "ListVectors": vectors.list_vectors,
    "DeleteVectors": vectors.delete_vectors,
}
OPERATIONS = frozenset(_OPERATIONS) | {"QueryVectors"}


def operation_of(method: str, raw_path: bytes) -> str | None:
    """The operation that a request is, or None when it is none of this service."""
    path = raw_path.decode("ascii", "replace")
    if path.startswith(_TAGS):
        return _TAG_OPERATIONS.get(method)
    name = path.removeprefix("/")
    return name if method == "POST" and name in OPERATIONS and name not in _TAG_OPERATIONS.values() else None


class VectorsService:
    """Everything that changes. Operations take turns, in threads, so that a long search holds up no other answer."""

    def __init__(
        self, settings: VectorsSettings, region: str, account: str, now: Callable[[], float], seed: int = 0
    ) -> None:
        self.settings = settings
        self.store = Store(settings, region, account, now)
        self.faults = VectorsFaults(settings.faults, seed)
        self.outcomes: Counter[str] = Counter()
        """Requests answered, by `Operation` or `Operation:ErrorName`."""
        self._queries = Queries()
        self._turn = threading.Lock()

    def take_fault(self, operation: str) -> VectorsFault | None:
        """The fault that hits this request. VectorsError when it is a refusal."""
        fault = self.faults.take(operation)
        refusal = fault.refusal() if fault else None
        if refusal is not None:
            self.outcomes[f"{operation}:{refusal.name}"] += 1
            raise refusal
        return fault

    async def answer(self, operation: str, raw_path: bytes, query: bytes, body: bytes) -> bytes:
        """The JSON of the result. VectorsError with what is wrong."""
        try:
            answer = await asyncio.to_thread(self._run, operation, raw_path, query, body)
        except VectorsError as error:
            self.outcomes[f"{operation}:{error.name}"] += 1
            raise
        self.outcomes[operation] += 1
        return answer

    def report(self) -> Json:
        """JSON-ready: what is held, and what was asked."""
        # Copies, because another thread may be at work: nothing here waits for it.
        buckets = list(self.store.buckets.values())
        return {
            "simulated": True,
            "bytes_held": self.store.bytes_held,
            "max_bytes": self.settings.max_bytes,
            "buckets": {
                bucket.name: {
                    index.name: {"vectors": len(index.vectors), "dimension": index.dimension, "mode": index.mode}
                    for index in list(bucket.indexes.values())
                }
                for bucket in buckets
            },
            "requests": dict(self.outcomes),
            "faults": self.faults.listed(),
        }

    def _run(self, operation: str, raw_path: bytes, query: bytes, body: bytes) -> bytes:
        if len(body) > MAX_BODY_BYTES:
            raise invalid(f"The request's body has {len(body)} bytes; the limit is {MAX_BODY_BYTES}")
        try:
            request = _read(body)
            if raw_path.startswith(_TAGS.encode()):
                request["resourceArn"] = unquote(raw_path.decode("ascii", "replace").removeprefix(_TAGS))
                if operation == "UntagResource":
                    request["tagKeys"] = parse_qs(query.decode("ascii", "replace")).get("tagKeys", [])
            request = checked(operation, request)
            self._require_allowed(operation, request)
            with self._turn:
                if operation == "QueryVectors":
                    result = self._queries.query_vectors(self.store, request)
                else:
                    result = _OPERATIONS[operation](self.store, request)
                return json.dumps(result).encode()
        except RecursionError:
            raise VectorsError("SerializationException", "The request nests too deep to be read.") from None

    def _require_allowed(self, operation: str, request: Json) -> None:
        denied = self.settings.denied_actions
        reads = ("returnData", "returnMetadata", "filter")
        needed = [operation]
        if operation in ("QueryVectors", "ListVectors") and any(request.get(name) for name in reads):
            needed.append("GetVectors")
        for action in needed:
            if action in denied:
                raise VectorsError(
                    "AccessDeniedException", f"User is not authorized to perform: s3vectors:{action} on the resource"
                )


def _read(body: bytes) -> Json:
    try:
        request = json.loads(body) if body else {}
    except ValueError:
        raise VectorsError("SerializationException", "The body is not JSON.") from None
    if not isinstance(request, dict):
        raise VectorsError("SerializationException", "The body must be a JSON object.")
    return request
