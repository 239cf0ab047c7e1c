"""Reading the raw top-level fields of a request."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.backends.bedrock.errors import bad_request
from gateway.backends.contract import UpstreamRequest

# Llama 3.1's limit on demand (`max_gen_len`, 1 to 2048): what a chat without a limit gets where the body needs one.
CHAT_MAX_TOKENS = 2048
# OpenAI's own default for completions.
COMPLETIONS_MAX_TOKENS = 16

_decode_prompt: msgspec.json.Decoder[str | list[str]] = msgspec.json.Decoder(str | list[str])


def raw(request: UpstreamRequest, name: str) -> msgspec.Raw | None:
    """A field as it was written; None when it is absent or null."""
    value = request.fields.get(name)
    return None if value is None or bytes(value) == b"null" else value


def copy(request: UpstreamRequest, names: Iterable[str]) -> dict[str, msgspec.Raw]:
    """Those of the fields that the request has, untouched."""
    return {name: value for name in names if (value := raw(request, name)) is not None}


def max_tokens(request: UpstreamRequest) -> msgspec.Raw | None:
    """The newer name wins."""
    return raw(request, "max_completion_tokens") or raw(request, "max_tokens")


def needed_max_tokens(request: UpstreamRequest) -> msgspec.Raw:
    """For bodies that are recognised by their limit, so that it cannot be left out."""
    default = CHAT_MAX_TOKENS if request.operation == "chat" else COMPLETIONS_MAX_TOKENS
    return max_tokens(request) or msgspec.Raw(str(default).encode())


def prompt_text(request: UpstreamRequest) -> str:
    """The prompt of a completions request: one string, or a list of one. Raises `UpstreamError` (400)."""
    try:
        prompt = _decode_prompt.decode(raw(request, "prompt") or b"null")
    except msgspec.DecodeError:
        raise bad_request("prompt must be a string: this backend takes no token ids", "prompt") from None
    if isinstance(prompt, str):
        return prompt
    if len(prompt) != 1:
        raise bad_request(f"prompt is a list of {len(prompt)}: this backend takes one prompt a request", "prompt")
    return prompt[0]
