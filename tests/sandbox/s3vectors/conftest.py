"""One real sandbox for all tests, and boto3 as the client: retries off, and nothing checked before it is sent."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from gateway.sandbox.bedrock.server import serve_in_thread
from gateway.sandbox.bedrock.settings import SandboxSettings

TITAN = "amazon.titan-embed-text-v2:0"
ACCOUNT = "123456789012"
_session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret", region_name="us-east-1")
_names = itertools.count(1)
SIGNED = {
    "authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3vectors/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64,
    "x-amz-date": "20260101T000000Z",
}
"""Headers that are a signature in form, for requests that no SDK makes."""


def settings(vectors: dict[str, Any] | None = None, **top: Any) -> SandboxSettings:
    """Titan without a wait, and a vector store that is changed by `vectors`."""
    titan = {"kind": "embedding", "id": TITAN, "input_usd_per_1m": "0.02", "latency_seconds": 0}
    return SandboxSettings.model_validate({"models": [titan], "s3vectors": vectors or {}, **top})


@dataclass
class Running:
    """A sandbox and ways to talk to it."""

    url: str

    def client(self, service: str, session: boto3.Session = _session) -> Any:
        config = Config(retries={"total_max_attempts": 1}, read_timeout=20, parameter_validation=False)
        return session.client(service, endpoint_url=self.url, config=config)

    def admin(self, method: str, path: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = httpx.request(method, f"{self.url}/_sandbox{path}", json=data)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fault(self, kind: str, **more: Any) -> None:
        self.admin("POST", "/s3vectors/faults", {"kind": kind, **more})


@dataclass
class Place:
    """An index: keyword arguments that name it, and a client."""

    client: Any
    bucket: str
    index: str = "pages"

    @property
    def where(self) -> dict[str, str]:
        return {"vectorBucketName": self.bucket, "indexName": self.index}

    @property
    def arn(self) -> str:
        return f"arn:aws:s3vectors:us-east-1:{ACCOUNT}:bucket/{self.bucket}/index/{self.index}"

    def put(self, vectors: dict[str, list[float]], metadata: dict[str, dict[str, Any]] | None = None) -> None:
        self.client.put_vectors(
            **self.where,
            vectors=[
                {"key": key, "data": {"float32": values}, "metadata": (metadata or {}).get(key, {})}
                for key, values in vectors.items()
            ],
        )

    def query(self, **asked: Any) -> dict[str, Any]:
        return self.client.query_vectors(**self.where, **asked)

    def keys(self, **asked: Any) -> list[str]:
        return [vector["key"] for vector in self.query(**asked)["vectors"]]


@pytest.fixture(autouse=True, scope="session")
def _no_bearer_key() -> Iterator[None]:
    """A bearer key in the environment would take the place of Bedrock's signatures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
        yield


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Running]:
    with serve_in_thread(settings()) as served:
        yield Running(served.url)


@pytest.fixture(scope="session")
def client(sandbox: Running) -> Any:
    return sandbox.client("s3vectors")


@pytest.fixture(scope="session")
def make(client: Any) -> Callable[..., Place]:
    """A new bucket with an index; what CreateIndex takes can be given. `bucket`: how the bucket's name begins."""

    def made(bucket: str = "bucket-", dimension: int = 2, metric: str = "cosine", **more: Any) -> Place:
        place = Place(client, f"{bucket}{next(_names)}")
        client.create_vector_bucket(vectorBucketName=place.bucket)
        client.create_index(**place.where, dataType="float32", dimension=dimension, distanceMetric=metric, **more)
        return place

    return made


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Start another sandbox: keyword arguments as `settings` takes them."""
    with contextlib.ExitStack() as stack:
        yield lambda **changes: Running(stack.enter_context(serve_in_thread(settings(**changes))).url)
