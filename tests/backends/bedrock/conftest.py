"""A Bedrock sandbox on a port of its own, and the gateway's backend in front of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from gateway.backends.bedrock.backend import BedrockBackend
from gateway.policy.schema import BackendSettings
from gateway.sandbox.bedrock.server import Served, serve
from gateway.sandbox.bedrock.settings import SandboxSettings
from tests.backends.bedrock.requests import BASE, IMPORTED, PROVISIONED

SECRETS = {"access_key_id": "AKIDSANDBOX", "secret_access_key": "sandbox-secret", "session_token": "sandbox-token"}
FAST = {"tokens_per_second": 2000.0, "first_token_seconds": 0.0, "instruct_supported": True}

Start = Callable[..., AbstractAsyncContextManager[tuple[BedrockBackend, Served]]]


def sandbox_settings(fields: dict[str, Any], model: dict[str, Any]) -> SandboxSettings:
    """`fields` of the whole sandbox; `model` for each of its three models."""
    imported = {"cold_start_seconds": 0, "usd_per_unit_minute": "0.05718", "arn": IMPORTED, "kind": "imported"}
    models = [
        {**FAST, **imported, **model},
        {
            **FAST, "kind": "foundation", "id": BASE, "input_usd_per_1m": "0.22", "output_usd_per_1m": "0.22",
            **{k: v for k, v in model.items() if k not in ("cold_start_seconds", "blocking_wait_seconds")},
        },
        {
            **FAST, "kind": "provisioned", "arn": PROVISIONED, "units": 1, "usd_per_unit_hour": "7.11",
            **{k: v for k, v in model.items() if k not in ("cold_start_seconds", "blocking_wait_seconds")},
        },
    ]  # fmt: skip
    credentials = {**SECRETS, "bearer_key": "sandbox-key"}
    return SandboxSettings.model_validate({"models": models, "credentials": credentials, **fields})


def backend_settings(url: str, fields: dict[str, Any]) -> BackendSettings:
    return BackendSettings.model_validate(
        {
            "wire": "bedrock", "region": "us-east-1", "endpoint_url": url, "credentials": SECRETS,
            "speed": {"single_stream_tokens_per_second": 95}, **fields,
        }
    )  # fmt: skip


@pytest.fixture(autouse=True)
def no_bearer_token_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)


@pytest.fixture
def start() -> Start:
    @contextlib.asynccontextmanager
    async def run(
        *, model: dict[str, Any] | None = None, backend: dict[str, Any] | None = None, **fields: Any
    ) -> AsyncIterator[tuple[BedrockBackend, Served]]:
        async with serve(sandbox_settings(fields, model or {})) as served:
            one = BedrockBackend("cloud", backend_settings(served.url, backend or {}))
            try:
                yield one, served
            finally:
                await one.aclose()

    return run
