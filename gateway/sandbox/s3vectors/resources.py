"""Operations on vector buckets, indexes, policies and tags. Each takes the store and a request that was checked."""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

from gateway.sandbox.s3vectors.errors import VectorsError, invalid, not_found
from gateway.sandbox.s3vectors.paging import decode, encode
from gateway.sandbox.s3vectors.store import BEFORE_MODES_UNIX_SECONDS, Bucket, Index, Store

Json = dict[str, Any]
Named = TypeVar("Named", Bucket, Index)

PAGE = 500
MAX_TAGS = 50
MAX_BUCKETS = 10_000
MAX_INDEXES = 10_000
MAX_TEXT_KEYS = 10
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]*[a-z0-9]")
_INDEX_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*[a-z0-9]")


def create_vector_bucket(store: Store, request: Json) -> Json:
    name = request["vectorBucketName"]
    if _BUCKET_NAME.fullmatch(name) is None:
        raise invalid("Invalid vector bucket name", "vectorBucketName")
    if name in store.buckets:
        raise VectorsError("ConflictException", "A vector bucket with the specified name already exists")
    if len(store.buckets) >= MAX_BUCKETS:
        raise VectorsError("ServiceQuotaExceededException", f"The account has {MAX_BUCKETS} vector buckets already.")
    old = name.startswith(store.settings.classic_prefix)
    bucket = Bucket(
        name,
        store.prefix + name,
        BEFORE_MODES_UNIX_SECONDS if old else int(store.now()),
        old,
        "CLASSIC" if old else "ENHANCED",
        _encryption(request.get("encryptionConfiguration")) or {"sseType": "AES256"},
        _tags(request.get("tags", {})),
    )
    store.buckets[name] = bucket
    return {"vectorBucketArn": bucket.arn}


def get_vector_bucket(store: Store, request: Json) -> Json:
    bucket = store.bucket(request)
    return {
        "vectorBucket": _bucket_summary(bucket)
        | {"encryptionConfiguration": bucket.encryption, "defaultIndexMode": bucket.default_mode}
    }


def list_vector_buckets(store: Store, request: Json) -> Json:
    page, token = _page(store.buckets, request, "buckets")
    return {"vectorBuckets": [_bucket_summary(bucket) for bucket in page], **token}


def delete_vector_bucket(store: Store, request: Json) -> Json:
    bucket = store.bucket(request)
    if bucket.indexes:
        raise VectorsError("ConflictException", "The specified vector bucket is not empty")
    del store.buckets[bucket.name]
    return {}


def put_vector_bucket_default_index_mode(store: Store, request: Json) -> Json:
    bucket = store.bucket(request)
    _require_mode_allowed(request["defaultIndexMode"], bucket)
    bucket.default_mode = request["defaultIndexMode"]
    return {}


def put_vector_bucket_policy(store: Store, request: Json) -> Json:
    """Kept and given back. It is not evaluated: `denied_actions` in the settings is what refuses."""
    bucket = store.bucket(request)
    try:
        readable = isinstance(json.loads(request["policy"]), dict)
    except ValueError:
        readable = False
    if not readable:
        raise invalid("Policy must be a valid JSON string", "policy")
    bucket.policy = request["policy"]
    return {}


def get_vector_bucket_policy(store: Store, request: Json) -> Json:
    bucket = store.bucket(request)
    if bucket.policy is None:
        raise not_found("vector bucket policy")
    return {"policy": bucket.policy}


def delete_vector_bucket_policy(store: Store, request: Json) -> Json:
    store.bucket(request).policy = None
    return {}


def create_index(store: Store, request: Json) -> Json:
    bucket = store.bucket(request)
    name = request["indexName"]
    if _INDEX_NAME.fullmatch(name) is None:
        raise invalid("Invalid index name", "indexName")
    if name in bucket.indexes:
        raise VectorsError("ConflictException", "An index with the specified name already exists")
    if len(bucket.indexes) >= MAX_INDEXES:
        raise VectorsError("ServiceQuotaExceededException", f"The vector bucket has {MAX_INDEXES} indexes already.")
    metadata = request.get("metadataConfiguration", {})
    non_filterable = tuple(metadata.get("nonFilterableMetadataKeys", ()))
    _require_distinct(non_filterable, "metadataConfiguration.nonFilterableMetadataKeys")
    texts = metadata.get("textSearchConfigurations", [])
    if texts and bucket.default_mode != "ENHANCED":
        raise invalid("Full-text search requires an index in ENHANCED mode", "metadataConfiguration")
    _require_distinct([text["metadataKey"] for text in texts], "metadataConfiguration.textSearchConfigurations")
    bucket.indexes[name] = index = Index(
        bucket.name,
        name,
        f"{bucket.arn}/index/{name}",
        int(store.now()),
        request["dimension"],
        request["distanceMetric"],
        bucket.default_mode,
        non_filterable,
        {text["metadataKey"]: text.get("language") for text in texts},
        _encryption(request.get("encryptionConfiguration")) or bucket.encryption,
        _tags(request.get("tags", {})),
    )
    return {"indexArn": index.arn}


def get_index(store: Store, request: Json) -> Json:
    index = store.index(request)
    described = _index_summary(index) | {
        "dataType": "float32",
        "dimension": index.dimension,
        "distanceMetric": index.metric,
        "encryptionConfiguration": index.encryption,
        "indexMode": index.mode,
    }
    metadata: Json = {}
    if index.non_filterable:
        metadata["nonFilterableMetadataKeys"] = list(index.non_filterable)
    if index.text_keys:
        # The sandbox searches the texts as they are, so there is never one that is still BUILDING.
        metadata["textSearchConfigurations"] = [
            {"metadataKey": key, "status": "ACTIVE"} | ({"language": language} if language else {})
            for key, language in index.text_keys.items()
        ]
    return {"index": described | ({"metadataConfiguration": metadata} if metadata else {})}


def list_indexes(store: Store, request: Json) -> Json:
    page, token = _page(store.bucket(request).indexes, request, "indexes")
    return {"indexes": [_index_summary(index) for index in page], **token}


def delete_index(store: Store, request: Json) -> Json:
    store.drop_index(store.index(request))
    return {}


def update_index_mode(store: Store, request: Json) -> Json:
    index = store.index(request)
    _require_mode_allowed(request["indexMode"], store.buckets[index.bucket])
    if request["indexMode"] == "CLASSIC" and index.text_keys:
        raise invalid("An index with full-text search configurations cannot be CLASSIC", "indexMode")
    index.mode = request["indexMode"]
    return {}


def update_metadata_configuration(store: Store, request: Json) -> Json:
    """Which keys can be searched for words. Non-filterable keys stay as they were created."""
    index = store.index(request)
    if ("add" in request) == ("delete" in request):
        raise invalid("Must specify either add or delete but not both")
    if index.mode != "ENHANCED":
        raise invalid("The index must be in ENHANCED mode to configure full-text search")
    added = request.get("add", {}).get("textSearchConfigurations", [])
    removed = [key["metadataKey"] for key in request.get("delete", {}).get("textSearchConfigurations", [])]
    _require_distinct([text["metadataKey"] for text in added], "add.textSearchConfigurations")
    for text in added:
        if text["metadataKey"] in index.text_keys:
            raise VectorsError("ConflictException", f"The key '{text['metadataKey']}' is configured already")
    if len(index.text_keys) + len(added) > MAX_TEXT_KEYS:
        raise VectorsError("ServiceQuotaExceededException", f"An index has at most {MAX_TEXT_KEYS} searchable keys")
    for key in removed:
        if key not in index.text_keys:
            raise not_found("text search configuration")
    index.text_keys = {key: value for key, value in index.text_keys.items() if key not in removed}
    index.text_keys |= {text["metadataKey"]: text.get("language") for text in added}
    return {"indexArn": index.arn}


def list_tags_for_resource(store: Store, request: Json) -> Json:
    return {"tags": store.resource(request["resourceArn"]).tags}


def tag_resource(store: Store, request: Json) -> Json:
    resource = store.resource(request["resourceArn"])
    resource.tags = _tags(resource.tags | request["tags"])
    return {}


def untag_resource(store: Store, request: Json) -> Json:
    resource = store.resource(request["resourceArn"])
    resource.tags = {key: value for key, value in resource.tags.items() if key not in request["tagKeys"]}
    return {}


def _bucket_summary(bucket: Bucket) -> Json:
    return {
        "vectorBucketName": bucket.name,
        "vectorBucketArn": bucket.arn,
        "creationTime": bucket.created_unix_seconds,
    }


def _index_summary(index: Index) -> Json:
    return {
        "vectorBucketName": index.bucket,
        "indexName": index.name,
        "indexArn": index.arn,
        "creationTime": index.created_unix_seconds,
    }


def _page(named: dict[str, Named], request: Json, kind: str) -> tuple[list[Named], Json]:
    """One page in the order of names, and its token where there is more."""
    prefix, size = request.get("prefix", ""), request.get("maxResults", PAGE)
    after = decode(request["nextToken"], str, kind, prefix) if "nextToken" in request else ""
    rest = sorted(name for name in named if name.startswith(prefix) and name > after)
    token = {"nextToken": encode(rest[size - 1], kind, prefix)} if len(rest) > size else {}
    return [named[name] for name in rest[:size]], token


def _require_mode_allowed(mode: str, bucket: Bucket) -> None:
    if mode == "CLASSIC" and not bucket.old:
        raise invalid("CLASSIC is only for vector buckets created before September 30, 2026")


def _require_distinct(keys: tuple[str, ...] | list[str], path: str) -> None:
    if len(set(keys)) != len(keys):
        raise invalid("A metadata key is given twice", path)


def _encryption(given: Json | None) -> dict[str, str]:
    """As it was given, once it is whole: a KMS key belongs to `aws:kms` and to nothing else."""
    if not given:
        return {}
    if (given.get("sseType") == "aws:kms") is not ("kmsKeyArn" in given):
        raise invalid("kmsKeyArn must be given if and only if sseType is aws:kms", "encryptionConfiguration")
    return given


def _tags(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > MAX_TAGS:
        raise invalid(f"A resource has at most {MAX_TAGS} tags", "tags")
    return dict(tags)
