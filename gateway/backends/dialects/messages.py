"""Anthropic's Messages API (`POST /v1/messages`, `/v1/messages/count_tokens`), as vLLM serves it.

**How cached tokens count**: here `input_tokens` leaves them out, so that a prompt is `input_tokens` +
`cache_read_input_tokens` + `cache_creation_input_tokens`. All three are booked as input tokens at one price, which is
what `prompt_tokens` of a chat is.

A stream begins with `message_start` (tokens of the prompt), tells the answer's tokens so far in `message_delta` (the
last one counts, and may correct those of the prompt), and ends with `message_stop`.
"""

from __future__ import annotations

import msgspec

from gateway.backends.dialects.named_events import NamedEventRelay
from gateway.backends.sse import Count
from gateway.backends.usage import Usage

NOTHING_USED = Usage(0, 0, "exact")
"""Of counting tokens: nothing is generated, and nobody charges for it."""


class _Counts(msgspec.Struct):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None

    @property
    def prompt_tokens(self) -> int | None:
        if self.input_tokens is None:
            return None
        return self.input_tokens + (self.cache_read_input_tokens or 0) + (self.cache_creation_input_tokens or 0)


class _Message(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _Event(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw(b"null")
    message: _Message = msgspec.field(default_factory=_Message)


class _Counted(msgspec.Struct):
    input_tokens: msgspec.Raw = msgspec.Raw(b"null")


_NO_COUNTS = _Counts()
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_counts = msgspec.json.Decoder(_Counts | None).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_counted = msgspec.json.Decoder(_Counted).decode


def messages_usage(body: bytes) -> Usage | None:
    counts = _counts(_decode_message(body).usage)
    prompt, answer = counts.prompt_tokens, counts.output_tokens
    return None if prompt is None or answer is None else Usage(prompt, answer, "exact")


def count_tokens_usage(body: bytes) -> Usage | None:
    _decode_counted(body)  # is it JSON at all?
    return NOTHING_USED


class MessagesRelay(NamedEventRelay):
    """`error` may come at any time, with Anthropic's error object."""

    CONTENT = b"event: content_block_delta"
    WORTH_A_LOOK = (b"event: message_", b"event: error", b'data: {"error"')
    __slots__ = ()

    def look(self, name: str, payload: bytes) -> bool:
        if name == "content_block_delta":
            self.content_events += 1
        elif name == "message_start":
            self.prompt_tokens = _read(payload).prompt_tokens
        elif name == "message_delta":
            counts = _read(payload)
            prompt = self.prompt_tokens if counts.prompt_tokens is None else counts.prompt_tokens
            if prompt is not None and counts.output_tokens is not None:
                self.usage = Usage(prompt, counts.output_tokens, "exact")
        elif name == "message_stop":
            self.done = True
        return True


def _read(payload: bytes) -> _Counts:
    try:
        event = _decode_event(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _NO_COUNTS
    return _counts(event.usage if bytes(event.usage) != b"null" else event.message.usage)


def _counts(told: msgspec.Raw) -> _Counts:
    try:
        return _decode_counts(told) or _NO_COUNTS
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _NO_COUNTS
