"""Streams whose events have names (`event: ...`), as those of the Responses and the Messages API do.

They carry their usage by themselves and end with an event of their own; nothing is taken out of them but the report of
a failure. Plain content is counted by a search for a few bytes, and not decoded.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import msgspec

from gateway.backends.sse import EventFeed, payload_of

_encode = msgspec.json.Encoder().encode


class Failure(msgspec.Struct):
    """What a backend says when it fails, in the words that all dialects share."""

    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


class _Typed(msgspec.Struct):
    type: str = ""
    error: msgspec.Raw = msgspec.Raw(b"null")


_decode_type = msgspec.json.Decoder(_Typed).decode
_decode_failure = msgspec.json.Decoder(Failure).decode


class NamedEventRelay(EventFeed):
    """See `dialects.Relay`. A dialect says which events are content and which need a look, and looks at them."""

    STARTS = b"event: "
    """The space may be left out: then each is looked at."""
    CONTENT: ClassVar[bytes]
    """How the line ends that names an event of content. A raw line break is in no JSON: text cannot look like it."""
    WORTH_A_LOOK: ClassVar[tuple[bytes, ...]]
    """Bytes of which one is in every event that says more than content."""
    __slots__ = ()

    def __init__(self, keep_usage: bool = True) -> None:  # noqa: ARG002  these streams have no event of usage alone
        super().__init__()

    def passed(self, events: bytes) -> bool:
        if any(mark in events for mark in self.WORTH_A_LOOK):
            return False
        self.content_events += events.count(self.CONTENT + b"\ndata:") or events.count(self.CONTENT + b"\r\ndata:")
        self.events += events.count(b"\n\n") or events.count(b"\r\n\r\n")
        return True

    def passed_one(self, data: bytes, begin: int, end: int) -> bool:
        """As `passed`, for one event from `begin` to its empty line at `end`."""
        if not data.startswith(self.STARTS, begin) or data.find(b"\n\n", begin) != end:
            return False
        return self.passed(data)

    def passes(self, event: bytes) -> bool:
        if self.error is not None:
            return False
        payload = payload_of(event)
        if payload is None:
            return True  # a comment
        name, error = _name_of(event), b"null"
        if not name or name == "error":
            try:
                read = _decode_type(payload)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return True
            name, error = name or read.type, bytes(read.error)
        if name == "error" or error != b"null":
            self.fail(payload if error == b"null" else error)
            return False
        passes = self.look(name, payload)
        self.events += passes
        return passes

    @abstractmethod
    def look(self, name: str, payload: bytes) -> bool:
        """Takes note of one event. False: it reports a failure."""

    def fail(self, told: bytes) -> None:
        """The backend reports its own failure: `told` is the object with the message."""
        try:
            failure = _decode_failure(told)
        except (msgspec.DecodeError, UnicodeDecodeError):
            failure = Failure()
        if failure.type == "error":
            failure.type = None  # the event's own name
        failure.message = failure.message or "the backend reported an error in the stream"
        self.error = _encode({"error": failure})


def _name_of(event: bytes) -> str:
    for line in event.splitlines():
        if line.startswith(b"event:"):
            return line[6:].strip().decode("latin-1")
    return ""
