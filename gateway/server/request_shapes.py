"""Where the few facts that routing needs stand in the body of each operation, and what of it cannot be carried."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.routing.facts import Operation
from gateway.server.errors import ApiError

NEUTRAL = frozenset((b"null", b"false", b"[]", b"{}"))
"""Values that ask for nothing."""


class RequestShape(msgspec.Struct, frozen=True):
    prompt: tuple[str, ...]
    """Fields that are the prompt; the first is the one that every request has."""
    max_tokens: tuple[str, ...] = ()
    """Fields that limit the answer; the first that is given counts."""
    streams: bool = True
    media: tuple[bytes, ...] = ()
    """Bytes of which one is in every body with a picture, a sound or a file sent as data. In JSON they can only be a
    string of their own: within a longer string the quotes would be escaped."""
    demands: frozenset[str] = frozenset()
    """The path that a backend must have to serve this at all."""
    refused: Mapping[str, str] = {}
    """Fields that no request may have, and why."""


_ELSEWHERE = "the gateway keeps no answers, and another backend may get the next request"

SHAPES: Mapping[Operation, RequestShape] = {
    "chat": RequestShape(
        ("messages",), ("max_completion_tokens", "max_tokens"), media=(b'"image_url"', b'"input_audio"')
    ),
    "completions": RequestShape(("prompt",), ("max_completion_tokens", "max_tokens")),
    "embeddings": RequestShape(("input",), streams=False),
    "responses": RequestShape(
        ("input", "instructions"), ("max_output_tokens",), media=(b'"input_image"', b'"input_audio"', b'"input_file"'),
        demands=frozenset(("/v1/responses",)),
        refused={
            "previous_response_id": f"{_ELSEWHERE}: send the whole conversation in 'input'",
            "conversation": f"{_ELSEWHERE}: send the whole conversation in 'input'",
            "background": f"{_ELSEWHERE}: wait for the answer, or stream it",
        },
    ),
    "messages": RequestShape(
        ("messages", "system"), ("max_tokens",), media=(b'"base64"',), demands=frozenset(("/v1/messages",))
    ),
    "count_tokens": RequestShape(
        ("messages", "system"), streams=False, media=(b'"base64"',), demands=frozenset(("/v1/messages/count_tokens",))
    ),
}  # fmt: skip


def refuse_what_needs_a_memory(fields: Mapping[str, msgspec.Raw], operation: Operation) -> None:
    """Raises `ApiError` 400 that names the field."""
    for name, why in SHAPES[operation].refused.items():
        if name in fields and bytes(fields[name]).strip() not in NEUTRAL:
            raise ApiError(400, f"'{name}' is not carried: {why}.", code="unsupported_parameter", param=name)
