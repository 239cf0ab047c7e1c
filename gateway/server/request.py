"""From bytes to facts: only the fields that routing needs are decoded; the body stays as it came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from gateway.routing.facts import Operation
from gateway.server.deadlines import Allowed
from gateway.server.errors import ApiError
from gateway.server.http1 import BodyBroken, BodyTimeout, BodyTooLarge, Exchange
from gateway.server.request_shapes import NEUTRAL, SHAPES, RequestShape, refuse_what_needs_a_memory
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


MEDIA = frozenset((b'"image_url"', b'"input_audio"'))
FEW_UNDERSCORES = 100
"""Looked at one by one; of more, the tokens themselves are looked for, at 0.3 ns a byte and token."""
FROM_UNDERSCORE = (b'_url"', b'_audio"', b"_call")
"""How the tokens of `MARKS` go on from their first underscore."""
NOTHING: frozenset[str] = frozenset()


class Headers(msgspec.Struct, gc=False):
    """The request headers that the gateway reads."""

    authorization: bytes | None = None
    api_key: bytes | None = None
    """`x-api-key`: how Anthropic's clients send the key."""
    request_id: str | None = None
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
        if name in _READERS:
            _READERS[name](headers, value)
    return headers


def _read_authorization(headers: Headers, value: bytes) -> None:
    headers.authorization = value


def _read_api_key(headers: Headers, value: bytes) -> None:
    headers.api_key = value


def _read_request_id(headers: Headers, value: bytes) -> None:
    if len(value) <= 128 and value.isascii() and value.decode().isprintable():
        headers.request_id = value.decode()


def _read_traceparent(headers: Headers, value: bytes) -> None:
    # Sent twice it says nothing: two traces cannot both be continued.
    again = headers.traceparent is not None
    headers.traceparent = "" if again else _passable(value, MAX_TRACEPARENT)


def _read_tracestate(headers: Headers, value: bytes) -> None:
    before = "" if headers.tracestate is None else headers.tracestate + ","
    headers.tracestate = _passable(before.encode() + value, MAX_TRACESTATE)


def _passable(value: bytes, most: int) -> str:
    """A header that a backend may be sent as it came; else empty."""
    return value.decode() if len(value) <= most and value.isascii() and value.decode().isprintable() else ""


def _read_ttft(headers: Headers, value: bytes) -> None:
    headers.ceiling_ttft_seconds = _milliseconds("max-ttft-ms", value)


def _read_latency(headers: Headers, value: bytes) -> None:
    headers.ceiling_latency_seconds = _milliseconds("max-latency-ms", value)


def _read_quality(headers: Headers, value: bytes) -> None:
    headers.quality = _word("quality", value)


def _read_backend(headers: Headers, value: bytes) -> None:
    headers.backend = _word("backend", value)


_READERS: Mapping[bytes, Callable[[Headers, bytes], None]] = {
    b"authorization": _read_authorization,
    b"x-api-key": _read_api_key,
    b"x-request-id": _read_request_id,
    b"traceparent": _read_traceparent,
    b"tracestate": _read_tracestate,
    b"x-crossover-max-ttft-ms": _read_ttft,
    b"x-crossover-max-latency-ms": _read_latency,
    b"x-crossover-quality": _read_quality,
    b"x-crossover-backend": _read_backend,
}


def _milliseconds(name: str, raw: bytes) -> float:
    value = raw.decode("latin-1").strip()
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


def _word(name: str, raw: bytes) -> str:
    value = raw.decode("latin-1").strip()
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


class ParsedBody(msgspec.Struct, gc=False):
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
    if len(fields) > MAX_FIELDS or (fields and max(map(len, fields)) > MAX_FIELD_NAME):
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
    include_usage = False
    if "stream_options" in fields:
        options = _field(fields, "stream_options", _decode_stream_options, "an object")
        include_usage = bool(options and options.include_usage)
    most = None
    for name in shape.max_tokens:
        if name in fields and most is None:
            most = _output_tokens(fields, name)
    return ParsedBody(fields, model, stream, include_usage, most)


def _output_tokens(fields: Fields, name: str) -> int | None:
    most: int | None = _field(fields, name, _decode_int, "an integer")
    if most is not None and not 1 <= most <= MAX_OUTPUT_TOKENS:
        raise ApiError(400, f"'{name}' must be from 1 to {MAX_OUTPUT_TOKENS}.", code="invalid_value", param=name)
    return most


def _field(fields: Fields, name: str, decode: Callable[[msgspec.Raw], Any], wanted: str) -> Any:
    try:
        return decode(fields[name])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        shown = bytes(fields[name])[:60].decode("utf-8", "replace")
        raise ApiError(400, f"'{name}' must be {wanted}; it is {shown}.", code="invalid_type", param=name) from None


def demands(fields: Fields, operation: Operation) -> frozenset[str]:
    """What the request asks beyond a plain answer: names of fields with a value that changes something, and marks. Of
    an operation that not every wire has: its path, for whoever has that carries all the rest."""
    return sized(fields, operation)[1]


def prompt_bytes(fields: Fields, operation: Operation = "chat") -> int:
    """How long the prompt is, for guessing its tokens."""
    return sized(fields, operation)[0]


def sized(fields: Fields, operation: Operation) -> tuple[int, frozenset[str]]:
    """(`prompt_bytes`, `demands`): both in one look at the prompt, which may be long."""
    shape = SHAPES[operation]
    if shape.demands:
        return sum([_size(bytes(fields[name]), shape) for name in shape.prompt if name in fields]), shape.demands
    asked = fields.keys() - CARRIED_BY_ALL
    if asked:
        asked = {name for name in asked if _asks(name, bytes(fields[name]).strip())}
    name = shape.prompt[0]
    if name not in fields:
        return 0, frozenset(asked)
    prompt = bytes(fields[name])
    size = len(prompt)
    if operation == "chat" and (tokens := _tokens_in(prompt)):
        if not MEDIA.isdisjoint(tokens):
            size = _bytes_without_media(prompt)
        asked.update([mark for token, mark in MARKS if token in tokens])
    return size, frozenset(asked) if asked else NOTHING


def _size(prompt: bytes, shape: RequestShape) -> int:
    return _bytes_without_media(prompt) if any(token in prompt for token in shape.media) else len(prompt)


def _asks(name: str, value: bytes) -> bool:
    return value not in NEUTRAL and not (value == b"1" and name in ("n", "best_of"))


def _tokens_in(prompt: bytes) -> tuple[bytes, ...]:
    """Which tokens of `MARKS` are there. All have an underscore, which is found ten times as fast as any of them; few
    prompts have many."""
    at = prompt.find(b"_")
    for _ in range(FEW_UNDERSCORES):
        if at < 0:
            return ()
        if prompt.startswith(FROM_UNDERSCORE, at):
            break
        at = prompt.find(b"_", at + 1)
    return tuple([token for token, _ in MARKS if token in prompt])


class _Part(msgspec.Struct):
    text: str = ""


class _Turn(msgspec.Struct):
    content: str | list[_Part] | None = None


_decode_turns = msgspec.json.Decoder(list[_Turn]).decode
LOGGED_PROMPT_BYTES = 8000
MEDIA_PART_BYTES = 2400
"""A picture or a sound counts as a prompt of about 600 tokens, however many bytes it was sent in."""


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


def allowed_by(headers: Headers, arrived: float, stream: bool) -> Allowed:
    """The request's own hard end. `arrived`: seconds on the monotonic clock."""
    return Allowed(arrived, headers.ceiling_ttft_seconds if stream else None, headers.ceiling_latency_seconds)
