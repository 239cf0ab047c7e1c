"""Requests as the server hands them to a backend, for these tests."""

from __future__ import annotations

import itertools
import time
from typing import Any

import msgspec

from gateway.backends.contract import Operation, UpstreamRequest
from gateway.policy.schema import ServedBy

_numbers = itertools.count(1)
BASE = "meta.llama3-1-8b-instruct-v1:0"
IMPORTED = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdef012345"
PROVISIONED = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdef012345"


def request(
    client_json: dict[str, Any],
    /,
    *,
    model: str = BASE,
    operation: Operation = "chat",
    stream: bool = False,
    include_usage: bool = False,
    deadline_seconds: float = 20.0,
    **target: Any,
) -> UpstreamRequest:
    raw = msgspec.json.encode({"model": "tuned", **client_json})
    return UpstreamRequest(
        operation=operation,
        target=ServedBy(backend="cloud", model=model, **target),
        alias="tuned",
        body=raw,
        fields=msgspec.json.decode(raw, type=dict[str, msgspec.Raw]),
        stream=stream,
        include_usage=include_usage,
        first_byte_deadline=time.monotonic() + deadline_seconds,
        request_id=f"r{next(_numbers)}",
        prompt_bytes=len(raw),
    )


def say(text: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **fields}
