"""Server-sent events as bytes: cut a stream at event boundaries, and read the usage off its tail, without buffering it.

Complete events are passed on the moment they are complete. Nothing is decoded unless it may hold the usage: a search
for a few bytes decides. An event that carries only usage is taken out when the client did not ask for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar

import msgspec

from gateway.backends.usage import Usage

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""An event longer than this is not an event: the stream is garbage."""


MAX_TOKENS = 2**40
"""A count beyond it is no count: it would not fit the books."""

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)]


class TokenCounts(msgspec.Struct):
    """OpenAI's usage object, as far as money needs it."""

    prompt_tokens: Count
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    """Embeddings tell this in place of `completion_tokens`."""


class _Event(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw(b"null")
    choices: list[msgspec.Raw] | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


class _Choice(msgspec.Struct):
    delta: dict[str, msgspec.Raw] | None = None


_SILENT = frozenset((b'""', b"null", b"[]"))
_decode_choice = msgspec.json.Decoder(_Choice).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_counts = msgspec.json.Decoder(TokenCounts).decode


def usage_of(told: msgspec.Raw) -> Usage | None:
    """The usage object of an answer as exact usage; None: there is none, or it cannot be read (which never spoils the
    answer it came with)."""
    try:
        counts = _decode_counts(told)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    read, written, total = counts.prompt_tokens, counts.completion_tokens, counts.total_tokens
    if written is None:  # not said: never read as 0
        if total is None:
            return None
        written = max(0, total - read)
    return Usage(read, written, "exact")


class EventTooLong(ValueError):
    """No end of an event within MAX_EVENT_BYTES."""


class EventFeed(ABC):
    """Feeds on upstream bytes, gives bytes for the client, and counts. What its events mean, a grammar says: it gives
    `STARTS`, `passed` and `passes`."""

    STARTS: ClassVar[bytes]
    """How an event begins that may pass without a look."""
    __slots__ = ("_tail", "content_events", "done", "error", "events", "prompt_tokens", "usage")

    def __init__(self) -> None:
        self._tail = b""
        self.usage: Usage | None = None
        self.prompt_tokens: int | None = None
        """Where it is told apart from the rest of the usage."""
        self.content_events = 0
        """Events passed that carry content: with one token an event, the tokens generated so far."""
        self.events = 0
        """Events passed, where they are numbered."""
        self.done = False
        """The answer is whole."""
        self.error: bytes | None = None
        """An event in which the backend itself reports an error: not passed on, for the server words it."""

    def feed(self, data: bytes) -> bytes:
        """Bytes that may be passed on now: whole events only; b'' when none is complete."""
        if self._tail:
            data = self._tail + data
        end = end_of_events(data)
        if end == 0:
            if len(data) > MAX_EVENT_BYTES:
                raise EventTooLong(f"no end of an event in {len(data)} bytes (limit {MAX_EVENT_BYTES})")
            self._tail = data
            return b""
        self._tail = data[end:]
        events = data if end == len(data) else data[:end]
        if self.content_events and events.startswith(self.STARTS) and self.passed(events):
            return events
        return b"".join(event for event in split_events(events) if self.passes(event))

    def end(self) -> bytes:
        """The upstream has ended: what was still without an empty line after it, as a whole event."""
        return self.feed(b"\n\n") if self._tail else b""

    @property
    def between_events(self) -> bool:
        """What has passed is whole events, content among them: nothing is held back."""
        return not self._tail and self.content_events > 0

    @abstractmethod
    def passed(self, events: bytes) -> bool:
        """Looks at whole plain events that are to be passed on as they are, `between_events`; chunk sizes may stand
        between them. False: one may need a look, so they must be fed."""

    @abstractmethod
    def passes(self, event: bytes) -> bool:
        """Looks at one whole event. False: it is not for the client."""


class EventRelay(EventFeed):
    """OpenAI's own grammar, of chats and completions. `keep_usage`: the client asked for the usage event."""

    STARTS = b"data:"
    __slots__ = ("_keep_usage",)

    def __init__(self, keep_usage: bool) -> None:
        super().__init__()
        self._keep_usage = keep_usage

    def passed(self, events: bytes) -> bool:
        # The usage, the end, an error, a comment. Written out: a loop over the four takes three times as long.
        if b'"usage"' in events or b"[DONE]" in events or b'"error"' in events or b"\n:" in events:
            return False
        self.content_events += events.count(b"\n\n") + events.count(b"\r\n\r\n")
        return True

    def passed_one(self, data: bytes, begin: int, end: int) -> bool:
        """As `passed`, for one event of one line of JSON: from `begin` to its line end at `end`."""
        if (
            not data.startswith(b"data: {", begin)
            or data.find(b"\n", begin) != end
            or b'"usage"' in data
            or b'"error"' in data
        ):
            return False
        self.content_events += 1
        return True

    def passes(self, event: bytes) -> bool:
        if self.error is not None:
            return False
        payload = payload_of(event)
        if payload is None:
            return True
        if payload == b"[DONE]":
            self.done = True
            return True
        try:
            read = _decode_event(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return True
        if not read.choices and bytes(read.error) != b"null":
            self.error = payload
            return False
        usage = usage_of(read.usage)
        if usage is not None:
            self.usage = usage
        if read.choices:
            self.content_events += self.content_events > 0 or not _only_a_role(read.choices)
            return True
        return bytes(read.usage) == b"null" or self._keep_usage


def _only_a_role(choices: list[msgspec.Raw]) -> bool:
    """A first event has no token if it only names the role, beside an empty content or none."""
    for choice in choices:
        try:
            delta = _decode_choice(choice).delta
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        if delta is None or any(name != "role" and bytes(value) not in _SILENT for name, value in delta.items()):
            return False
    return True


def end_of_events(data: bytes) -> int:
    """Index just after the last complete event; 0: there is none. Events end with an empty line (LF or CRLF)."""
    lf = data.rfind(b"\n\n")
    crlf = data.rfind(b"\r\n\r\n")
    return max(lf + 2 if lf >= 0 else 0, crlf + 4 if crlf >= 0 else 0)


def split_events(events: bytes) -> list[bytes]:
    """Whole events, each with its own ending. Looks at each byte once for either ending."""
    parts: list[bytes] = []
    start = lf = crlf = 0
    size = len(events)
    while start < size:
        if lf < start + 2:
            found = events.find(b"\n\n", start)
            lf = found + 2 if found >= 0 else size + 1
        if crlf < start + 4:
            found = events.find(b"\r\n\r\n", start)
            crlf = found + 4 if found >= 0 else size + 1
        end = min(lf, crlf, size)
        parts.append(events[start:end])
        start = end
    return parts


def payload_of(event: bytes) -> bytes | None:
    """The data of an event in one line; None: a comment, or nothing to read."""
    for line in event.splitlines():
        if line.startswith(b"data:"):
            return line[5:].strip()
    return None
