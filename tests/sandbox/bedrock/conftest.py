"""Real sandboxes on free ports, and boto3 as the client, with its retries off."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from gateway.sandbox.bedrock.server import serve_in_thread
from gateway.sandbox.bedrock.settings import SandboxSettings

ARN = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdef012345"
BASE = "meta.llama3-1-8b-instruct-v1:0"
PROVISIONED = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdef012345"
FAST = {"tokens_per_second": 2000, "first_token_seconds": 0}

_session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret", region_name="us-east-1")


def settings(
    imported: dict[str, Any] | None = None,
    base: dict[str, Any] | None = None,
    provisioned: dict[str, Any] | None = None,
    **top: Any,
) -> SandboxSettings:
    """Three fast models, changed by what is given."""
    models: list[dict[str, Any]] = [
        {"kind": "imported", "arn": ARN, "usd_per_unit_minute": "0.05718", **FAST, **(imported or {})},
        {"kind": "foundation", "id": BASE, "input_usd_per_1m": "0.22", "output_usd_per_1m": "0.72", **FAST}
        | (base or {}),
        {"kind": "provisioned", "arn": PROVISIONED, "usd_per_unit_hour": "7.20", **FAST, **(provisioned or {})},
    ]
    return SandboxSettings.model_validate({"models": models, **top})


@dataclass
class Running:
    """A sandbox and ways to talk to it."""

    url: str
    client: Any = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.make_client()

    def make_client(self, session: boto3.Session = _session, **config: Any) -> Any:
        return session.client(
            "bedrock-runtime",
            endpoint_url=self.url,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=20, **config),
        )

    def admin(self, method: str, path: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = httpx.request(method, f"{self.url}/_sandbox{path}", json=data)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def bill(self, model: str) -> dict[str, Any]:
        return self.admin("GET", "/bill?calls=1")["models"][model]

    def state(self, model: str) -> dict[str, Any]:
        return self.admin("GET", "/state")["models"][model]

    def advance(self, seconds: float) -> None:
        self.admin("POST", "/clock", {"advance_seconds": seconds})

    def fault(self, kind: str, **more: Any) -> None:
        self.admin("POST", "/faults", {"kind": kind, **more})

    def invoke(self, model: str, **body: Any) -> dict[str, Any]:
        return json.loads(self.client.invoke_model(modelId=model, body=json.dumps(body))["body"].read())

    def stream(self, model: str, **body: Any) -> list[dict[str, Any]]:
        answer = self.client.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))
        return [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]

    def chat(self, text: str = "hi", **more: Any) -> dict[str, Any]:
        return self.invoke(ARN, messages=[{"role": "user", "content": text}], **more)


@pytest.fixture(autouse=True, scope="session")
def _no_bearer_key() -> Iterator[None]:
    """A bearer key in the environment would take the place of signatures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
        yield


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Start a sandbox: keyword arguments as `settings` takes them."""
    with contextlib.ExitStack() as stack:
        yield lambda **changes: Running(stack.enter_context(serve_in_thread(settings(**changes))).url)


@pytest.fixture(scope="session")
def _warm_for_all() -> Iterator[Running]:
    chosen = settings(imported={"cold_start_seconds": 0, "instruct_supported": True}, provisioned={"units": 1})
    with serve_in_thread(chosen) as served:
        yield Running(served.url)


@pytest.fixture
def warm(_warm_for_all: Running) -> Running:
    """A fresh sandbox whose imported model needs no cold start and takes Converse."""
    _warm_for_all.admin("POST", "/reset")
    return _warm_for_all
