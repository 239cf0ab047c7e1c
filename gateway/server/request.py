"""From bytes to facts: only the fields that routing needs are decoded; the body stays as it came."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import msgspec

from gateway.policy.schema import AliasSettings
from gateway.routing.facts import Ceiling, Operation, RequestFacts
from gateway.server.errors import ApiError
from gateway.server.http1 import BodyBroken, BodyTimeout, BodyTooLarge, Exchange
from gateway.server.request_shapes import NEUTRAL, SHAPES, refuse_what_needs_a_memory
from gateway.telemetry.trace_context import MAX_TRACEPARENT, MAX_TRACESTATE

Fields: TypeAlias = dict[str, msgspec.Raw]

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_str = msgspec.json.Decoder(str).decode
_decode_bool = msgspec.json.Decoder(bool | None).decode
_decode_int = msgspec.json.Decoder(int | None).decode


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


_decode_stream_options = msgspec.json.Decoder(_StreamOptions | None).decode

CARRIED_BY_ALL = frozenset(
    ("model", "messages", "prompt", "input", "stream", "stream_options", "user", "metadata", "store", "service_tier",
     "max_tokens", "max_completion_tokens", "prompt_cache_key", "safety_identifier")
)  # fmt: skip
"""Fields that every backend serves, or that ask nothing of it."""
MAX_FIELDS = 100
MAX_FIELD_NAME = 64
MAX_OUTPUT_TOKENS = 2**31 - 1
# In JSON these bytes can only be a string of their own: within a longer string the quotes would be escaped.
MARKS = (
    (b'"image_url"', "messages.image_url"),
    (b'"input_audio"', "messages.input_audio"),
    (b'"tool_calls"', "messages.tool_calls"),
    (b'"tool_call_id"', "messages.tool_calls"),
)


class Headers(msgspec.Struct):
    """The request headers that the gateway reads."""

    authorization: bytes | None = None
    api_key: bytes | None = None
    """`x-api-key`: how Anthropic's clients send the key."""
    request_id: str | None = None
    content_length: int | None = None
    ceiling_ttft_seconds: float | None = None
    ceiling_latency_seconds: float | None = None
    quality: str | None = None
    backend: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    """W3C trace context as it came, if it can be passed on."""


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Raises `ApiError` 400 for a header of ours that cannot be read."""
    headers = Headers()
    for name, value in raw:
        if name == b"authorization":
            headers.authorization = value
        elif name == b"x-api-key":
            headers.api_key = value
        elif name == b"content-length" and value.isdigit():
            headers.content_length = int(value)
        elif name == b"x-request-id" and len(value) <= 128 and value.isascii() and value.decode().isprintable():
            headers.request_id = value.decode()
        elif name == b"traceparent":
            # Sent twice it says nothing: two traces cannot both be continued.
            again = headers.traceparent is not None
            headers.traceparent = "" if again else _passable(value, MAX_TRACEPARENT)
        elif name == b"tracestate":
            before = "" if headers.tracestate is None else headers.tracestate + ","
            headers.tracestate = _passable(before.encode() + value, MAX_TRACESTATE)
        elif name.startswith(b"x-crossover-"):
            _read_ours(headers, name[12:].decode("latin-1"), value.decode("latin-1").strip())
    return headers


def _passable(value: bytes, most: int) -> str:
    """A header that a backend may be sent as it came; else empty."""
    return value.decode() if len(value) <= most and value.isascii() and value.decode().isprintable() else ""


def _read_ours(headers: Headers, name: str, value: str) -> None:
    if name == "max-ttft-ms":
        headers.ceiling_ttft_seconds = _milliseconds(name, value)
    elif name == "max-latency-ms":
        headers.ceiling_latency_seconds = _milliseconds(name, value)
    elif name == "quality":
        headers.quality = _word(name, value)
    elif name == "backend":
        headers.backend = _word(name, value)


def _milliseconds(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 < number < 1e9:
        raise ApiError(
            400, f"The header x-crossover-{name} must be a number of milliseconds above 0; it is '{value[:40]}'.",
            code="invalid_header", param=f"x-crossover-{name}",
        )  # fmt: skip
    return number / 1000


def _word(name: str, value: str) -> str:
    if not 0 < len(value) <= 64 or not value.isascii() or not value.isprintable():
        raise ApiError(
            400, f"The header x-crossover-{name} must be a name of 1 to 64 characters.",
            code="invalid_header", param=f"x-crossover-{name}",
        )  # fmt: skip
    return value


async def read_body(exchange: Exchange, seconds: float) -> bytes:
    """The whole body, within the policy's limits of size and time. Raises `ApiError` 413, 408 or 400, or
    `ClientGone`."""
    try:
        return await exchange.body(seconds)
    except BodyTooLarge as error:
        raise body_too_large(error.size, error.limit) from None
    except BodyTimeout:
        raise body_late(seconds) from None
    except BodyBroken as error:
        raise body_broken(error) from None


def body_too_large(size: int, limit: int) -> ApiError:
    return ApiError(
        413, f"The request body has {size} bytes or more; the limit is {limit} (server.max_body_bytes).",
        code="request_too_large",
    )  # fmt: skip


def body_late(seconds: float) -> ApiError:
    return ApiError(408, f"The request body did not arrive within {seconds:g} s.", code="body_timeout")


def body_broken(error: BodyBroken) -> ApiError:
    return ApiError(400, str(error), code="invalid_http")


class ParsedBody(msgspec.Struct):
    """What was decoded of a body."""

    fields: Fields
    model: str
    stream: bool
    include_usage: bool
    max_output_tokens: int | None


def parse_body(body: bytes, operation: Operation = "chat") -> ParsedBody:
    """Raises `ApiError` 400 that names the field."""
    shape = SHAPES[operation]
    try:
        fields = _decode_fields(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"The request body is not a JSON object: {error}.", code="invalid_json") from error
    if len(fields) > MAX_FIELDS or any(len(name) > MAX_FIELD_NAME for name in fields):
        raise ApiError(
            400, f"The request body has more than {MAX_FIELDS} fields, or a name of more than {MAX_FIELD_NAME} "
            "characters.", code="invalid_json",
        )  # fmt: skip
    if "model" not in fields:
        raise ApiError(400, "You must provide a model parameter.", code="missing_parameter", param="model")
    if shape.refused:
        refuse_what_needs_a_memory(fields, operation)
    model = _field(fields, "model", _decode_str, "a string")
    stream = shape.streams and "stream" in fields and bool(_field(fields, "stream", _decode_bool, "true or false"))
    options = (
        _field(fields, "stream_options", _decode_stream_options, "an object") if "stream_options" in fields else None
    )
    most = None
    for name in shape.max_tokens:
        if name in fields and most is None:
            most = _field(fields, name, _decode_int, "an integer")
            if most is not None and not 1 <= most <= MAX_OUTPUT_TOKENS:
                raise ApiError(
                    400, f"'{name}' must be from 1 to {MAX_OUTPUT_TOKENS}.", code="invalid_value", param=name
                )
    return ParsedBody(fields, model, stream, bool(options and options.include_usage), most)


def _field(fields: Fields, name: str, decode: Callable[[msgspec.Raw], Any], wanted: str) -> Any:
    try:
        return decode(fields[name])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        shown = bytes(fields[name])[:60].decode("utf-8", "replace")
        raise ApiError(400, f"'{name}' must be {wanted}; it is {shown}.", code="invalid_type", param=name) from None


def demands(fields: Fields, operation: Operation) -> frozenset[str]:
    """What the request asks beyond a plain answer: names of fields with a value that changes something, and marks. Of
    an operation that not every wire has: its path, for whoever has that carries all the rest."""
    path = SHAPES[operation].demand
    if path is not None:
        return frozenset((path,))
    asked = {
        name
        for name, value in fields.items()
        if name not in CARRIED_BY_ALL
        and (raw := bytes(value).strip()) not in NEUTRAL
        and not (raw == b"1" and name in ("n", "best_of"))
    }
    if operation == "chat" and "messages" in fields:
        messages = bytes(fields["messages"])
        asked.update(mark for token, mark in MARKS if token in messages)
    return frozenset(asked)


class _Part(msgspec.Struct):
    text: str = ""


class _Turn(msgspec.Struct):
    content: str | list[_Part] | None = None


_decode_turns = msgspec.json.Decoder(list[_Turn]).decode
LOGGED_PROMPT_BYTES = 8000
MEDIA_PART_BYTES = 2400
"""A picture or a sound counts as a prompt of about 600 tokens, however many bytes it was sent in."""


def prompt_bytes(fields: Fields, operation: Operation = "chat") -> int:
    """How long the prompt is, for guessing its tokens."""
    shape = SHAPES[operation]
    size = 0
    for name in shape.prompt:
        if name in fields:
            raw = bytes(fields[name])
            size += _bytes_without_media(raw) if any(token in raw for token in shape.media) else len(raw)
    return size


def first_of_prompt(fields: Fields, operation: Operation = "chat") -> bytes | None:
    """The start of the prompt's JSON as it came, for a log that wants it."""
    name = SHAPES[operation].prompt[0]
    return bytes(memoryview(fields[name])[:LOGGED_PROMPT_BYTES]) if name in fields else None


def _bytes_without_media(messages: bytes) -> int:
    try:
        turns = _decode_turns(messages)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return len(messages)
    size = 0
    for turn in turns:
        parts = [_Part(turn.content)] if isinstance(turn.content, str) else turn.content or []
        size += sum(len(part.text.encode()) or MEDIA_PART_BYTES for part in parts)
    return size


def facts_of(
    parsed: ParsedBody,
    operation: Operation,
    alias: AliasSettings,
    headers: Headers,
    input_tokens: int,
    expected_output_tokens: float | None = None,
) -> RequestFacts:
    """Ceilings: the request's own where it says one, else the alias's."""
    ceiling = alias.ceiling
    counting = operation == "count_tokens"  # done at once: nothing is generated, and nothing gained by waiting
    return RequestFacts(
        alias=parsed.model,
        operation=operation,
        input_tokens=input_tokens,
        max_output_tokens=1 if counting else parsed.max_output_tokens,
        stream=parsed.stream,
        ceiling=Ceiling(
            headers.ceiling_ttft_seconds or ceiling.ttft_seconds,
            ceiling.seconds_per_output_token,
            headers.ceiling_latency_seconds or ceiling.latency_seconds,
        ),
        quality=headers.quality,
        demands=demands(parsed.fields, operation),
        pinned_backend=headers.backend,
        expected_output_tokens=expected_output_tokens,
        may_hold=not counting,
    )
