"""What every wire protocol offers the server: send one request, get OpenAI-shaped bytes as they come, then the usage.

A backend opens one attempt. It never retries, never chooses another backend and never prices anything: those belong to
the server, the router and the metering. (The one wait it owns is a cold start's: only it can see the model restoring.)
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Literal, Protocol, TypeAlias

import msgspec

from gateway.backends.errors import UpstreamError
from gateway.backends.usage import Usage
from gateway.policy.schema import ServedBy

Operation: TypeAlias = Literal["chat", "completions", "embeddings", "responses", "messages", "count_tokens"]


class WireListener(Protocol):
    """Hears of each call of one attempt as it happens: a backend that waits out a cold start makes several."""

    def sent(self, at: float) -> None: ...

    def refused(self, error: UpstreamError | None) -> None:
        """The call is not under way any more, and nothing of it is billed. None: it never left."""


class OnTheWire(msgspec.Struct):
    """Filled in by a backend while it sends: what may be billed even when no answer ever comes."""

    sent_at: float | None = None
    """When the call now under way was sent (monotonic seconds); None: none is, or it was refused."""
    listener: WireListener | None = None

    def sent(self, at: float) -> None:
        self.sent_at = at
        if self.listener is not None:
            self.listener.sent(at)

    def refused(self, error: UpstreamError | None = None) -> None:
        self.sent_at = None
        if self.listener is not None:
            self.listener.refused(error)


class UpstreamRequest(msgspec.Struct, frozen=True):
    """One request as a backend needs it."""

    operation: Operation
    target: ServedBy
    alias: str
    """The model's name as the client wrote it: what a translated answer carries in `model`."""
    body: bytes
    """The client's JSON, untouched."""
    fields: Mapping[str, msgspec.Raw]
    """Its top-level fields, each still as raw JSON."""
    stream: bool
    include_usage: bool
    """The client asked for the usage event of a stream; else it is read and taken out."""
    first_byte_deadline: float
    """On the monotonic clock, seconds: after it nobody waits for a first byte any more."""
    request_id: str
    total_deadline: float = inf
    """On the monotonic clock, seconds: by then the answer is whole, or it has failed."""
    cold_deadline: float = inf
    """After it a cold start is not waited for any more: another backend can serve."""
    prompt_bytes: int = 0
    """How long the prompt is, pictures aside: for guessing its tokens where the backend does not count them."""
    trace_headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    """W3C trace context for the backend, where its wire has a place for it."""
    wire: OnTheWire = msgspec.field(default_factory=OnTheWire)


class Flow(Protocol):
    """The source of a sink's bytes, as the sink steers it."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Sink(Protocol):
    """The client's connection, as a reply sees it."""

    def write(self, data: bytes, framed: bool = False) -> None:
        """To the client. `framed`: the data is whole HTTP/1.1 chunks already (size line, data, CRLF), to go out as it
        is. Never waits; after the client has left it drops the data."""

    @property
    def takes_chunks(self) -> bool:
        """The client's side is chunked: framed data may be given."""

    @property
    def full(self) -> bool:
        """More is buffered than should be: stop giving."""

    async def drained(self) -> None:
        """Waits until it is not full any more."""

    def steered(self, flow: Flow | None) -> None:
        """From now on `flow` is told to pause and to resume."""


class Reply(Protocol):
    """A backend's answer under way. `send` returns it only when the first bytes for the client are there, so until then
    another backend can be tried."""

    @property
    def content_type(self) -> str: ...

    @property
    def first(self) -> bytes:
        """The first whole server-sent events of a stream, or the whole JSON body. Never empty."""

    @property
    def usage(self) -> Usage:
        """What is known by now: exact once the backend has said it, else counted or estimated from what passed."""

    @property
    def admitted_at(self) -> float:
        """When the attempt that succeeded was sent (monotonic seconds): the moment a billing window counts it from."""

    async def relay(self, sink: Sink) -> None:
        """Streams only: passes on everything after `first`, until the end. Raises `UpstreamError` if the backend fails
        in the middle. Cancelling is the client's leaving."""

    def close(self) -> None:
        """Ends the upstream connection at once when the answer is not finished. May be called again."""


class Backend(Protocol):
    """One configured backend. Lives as long as the gateway; `aclose` ends its connections."""

    @property
    def name(self) -> str: ...

    def refuses(self, request_fields: frozenset[str], operation: Operation, target: ServedBy) -> frozenset[str]:
        """Of the demands in a request (top-level fields with a value that is not the neutral one, and marks such as
        `messages.image_url`), those which this backend cannot carry for this target. Pure; empty: it can serve it."""

    async def send(self, request: UpstreamRequest) -> Reply:
        """Raises `UpstreamError` when no first byte came. Cancelling closes the upstream connection."""

    async def aclose(self) -> None: ...
