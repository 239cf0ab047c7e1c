"""One S3 Vectors request over HTTP: signature, injected faults, result or error. The service: `sandbox.s3vectors`."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from gateway.sandbox.bedrock.auth import authenticate
from gateway.sandbox.bedrock.errors import BedrockError, Dropped
from gateway.sandbox.bedrock.exchange import Exchange, Scope
from gateway.sandbox.bedrock.settings import SandboxSettings
from gateway.sandbox.s3vectors.errors import VectorsError
from gateway.sandbox.s3vectors.faults import VectorsFault
from gateway.sandbox.s3vectors.service import VectorsService
from gateway.sandbox.s3vectors.shapes import SERVICE

_GARBAGE = b"<<< not JSON: fault injected by the sandbox >>>"
_SIMULATED = {"x-sandbox-store": "memory"}


async def respond(
    service: VectorsService,
    settings: SandboxSettings,
    operation: str,
    scope: Scope,
    headers: dict[str, str],
    body: bytes,
    exchange: Exchange,
) -> None:
    """Write the answer. Raises Dropped where the connection is to be dropped."""
    method, raw_path, query = scope["method"], scope["raw_path"], scope.get("query_string", b"")
    try:
        authenticate(method, raw_path, query, headers, body, settings, SERVICE)
        fault = service.take_fault(operation)
        if fault is not None:
            await _before(fault)
        content = await service.answer(operation, raw_path, query, body)
        if fault is not None and fault.kind == "garbage":
            content = _GARBAGE
        await _write(exchange, 200, content, {})
    except (BedrockError, VectorsError) as error:
        body_of: dict[str, Any] = error.body()
        await _write(exchange, error.status, json.dumps(body_of).encode(), {"x-amzn-errortype": error.name})


async def _before(fault: VectorsFault) -> None:
    """Faults that act before the operation does."""
    if fault.kind == "slow":
        await asyncio.sleep(fault.seconds)
    if fault.kind == "hang":
        await asyncio.Event().wait()
    if fault.kind == "close":
        raise Dropped


async def _write(exchange: Exchange, status: int, content: bytes, headers: dict[str, str]) -> None:
    lines = {"x-amz-request-id": exchange.request_id, "content-length": str(len(content)), **_SIMULATED, **headers}
    await exchange.start(status, "application/json", lines)
    await exchange.end(content)
