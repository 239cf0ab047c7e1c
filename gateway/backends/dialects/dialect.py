"""One entry for each operation: all that a backend of the `openai` wire has to know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol

import msgspec

from gateway.backends.contract import Operation
from gateway.backends.dialects.messages import MessagesRelay, count_tokens_usage, messages_usage
from gateway.backends.dialects.responses import ResponsesRelay, responses_usage
from gateway.backends.sse import EventRelay, usage_of
from gateway.backends.usage import Usage


class Relay(Protocol):
    """A stream on its way: fed with upstream bytes, gives bytes for the client, whole events only."""

    STARTS: ClassVar[bytes]
    """How an event begins that may pass without a look."""
    usage: Usage | None
    """Exact, once the backend has said all of it."""
    content_events: int
    """Events passed that carry text, a thought or a tool's arguments: with one token an event, the tokens so far."""
    done: bool
    """The event that ends a whole answer has passed."""
    error: bytes | None
    """What the backend said in the stream about its own failure, as `{"error": {...}}`. It is not passed on."""
    prompt_tokens: int | None
    """The backend has told the prompt's tokens, and not yet those of the answer."""

    @property
    def events(self) -> int:
        """Events passed on so far, where the grammar numbers them; else 0."""

    @property
    def between_events(self) -> bool:
        """What has passed is whole events, content among them: nothing is held back."""

    def passed(self, events: bytes) -> bool:
        """Looks at whole events that are to be passed on as they are. False: one may need a look, so feed them."""

    def passed_one(self, data: bytes, begin: int, end: int) -> bool:
        """As `passed`, for one event from `begin` to its empty line at `end`."""

    def feed(self, data: bytes) -> bytes:
        """Raises `EventTooLong`."""

    def end(self) -> bytes:
        """The upstream has ended: what was still without an empty line after it."""


class Dialect(msgspec.Struct, frozen=True):
    path: str
    """Below the backend's base_url, which ends in /v1."""
    usage_of_body: Callable[[bytes], Usage | None]
    """The usage of a whole answer; None: none that can be read. Raises `msgspec.DecodeError` or `UnicodeDecodeError`
    for what is not JSON."""
    relay: Callable[[bool], Relay] | None = None
    """A new stream's relay; its argument: the client asked for the usage event. None: this is never streamed."""
    asks_for_usage: bool = False
    """A stream tells its usage only with `stream_options.include_usage`; else it is part of every stream."""
    optional: bool = False
    """Not every server has this path: 404, 405 or 501 says that, and not that the server is ill."""


class _Answer(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw(b"null")


_decode_answer = msgspec.json.Decoder(_Answer).decode


def _openai_usage(body: bytes) -> Usage | None:
    return usage_of(_decode_answer(body).usage)


DIALECTS: Mapping[Operation, Dialect] = {
    "chat": Dialect("/chat/completions", _openai_usage, EventRelay, asks_for_usage=True),
    "completions": Dialect("/completions", _openai_usage, EventRelay, asks_for_usage=True),
    "embeddings": Dialect("/embeddings", _openai_usage),
    "responses": Dialect("/responses", responses_usage, ResponsesRelay, optional=True),
    "messages": Dialect("/messages", messages_usage, MessagesRelay, optional=True),
    "count_tokens": Dialect("/messages/count_tokens", count_tokens_usage, optional=True),
}
