"""A streamed answer of an OpenAI-compatible server: its first events are waited for, the rest is pushed to the client
within the read that brings it."""

from __future__ import annotations

import asyncio

from gateway.backends.contract import Sink, UpstreamRequest
from gateway.backends.dialects import DIALECTS
from gateway.backends.errors import UpstreamError, garbage, unreachable
from gateway.backends.http1 import Response
from gateway.backends.http1.chunks import one_chunk, whole_chunks
from gateway.backends.http1.errors import HTTP1Error
from gateway.backends.openai_errors import error_at_once, error_from
from gateway.backends.sse import MAX_EVENT_BYTES, EventTooLong
from gateway.backends.tokens import BytesPerToken
from gateway.backends.usage import MISSING, Usage
from gateway.backends.wire import Patience, worded

DRAIN_SECONDS = 0.1
"""After [DONE] the end of the body is waited for so long, so that the connection can be used again."""


def content_type_of(response: Response) -> str:
    return (response.header(b"content-type") or b"application/json").decode("latin-1")


class StreamReply:
    """See `contract.Reply`. It is the receiver of its response's bytes, and the flow that the client's side steers."""

    __slots__ = (
        "_backend", "_ended", "_events", "_failure", "_last", "_patience", "_plain", "_prompts", "_request",
        "_response", "_sink", "_timer", "admitted_at", "content_type", "first",
    )  # fmt: skip

    def __init__(
        self, backend: str, request: UpstreamRequest, response: Response, sent_at: float, patience: Patience,
        prompts: BytesPerToken,
    ) -> None:  # fmt: skip
        """`prompts`: guesses the tokens of a prompt whose count never came, and learns from those that did."""
        self.admitted_at = sent_at
        self.content_type = content_type_of(response)
        self.first = b""
        self._backend = backend
        self._request = request
        self._response = response
        self._patience = patience
        self._prompts = prompts
        relay = DIALECTS[request.operation].relay
        assert relay is not None
        self._events = relay(request.include_usage)
        self._sink: Sink | None = None
        self._plain = False
        """What comes may be passed on as it is, if it is plain whole events in whole chunks."""
        self._last = b""
        """Held back until the upstream has ended: [DONE], and what came with it."""
        self._failure: UpstreamError | None = None
        self._ended: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def usage(self) -> Usage:
        events = self._events
        if events.usage is not None:
            return events.usage
        if events.content_events == 0 and not events.done:
            return MISSING
        prompt = events.prompt_tokens
        if prompt is None:
            prompt = self._prompts.estimate(self._request.prompt_bytes)
        return Usage(prompt, events.content_events, "estimated")

    async def begin(self) -> None:
        """Waits for the first event that has content. Raises `HTTP1Error`, `UpstreamError`."""
        events, response = self._events, self._response
        first = b""
        while events.content_events == 0 and not events.done:
            response.awaiting_first = True  # a head, or a role, is no answer yet
            data = await response.chunk()
            try:
                first += events.feed(data) if data else events.end()
            except EventTooLong as error:
                raise garbage(self._backend, str(error)) from error
            if events.error is not None:
                raise error_at_once(self._backend, events.error)
            if len(first) > MAX_EVENT_BYTES:
                raise garbage(self._backend, f"no content in {len(first)} bytes of events")
            if not data and events.content_events == 0 and not events.done:
                raise self._cut_short()
        if events.done and not response.complete:
            await self._drain()
        self.first = first

    async def relay(self, sink: Sink) -> None:
        if not self._events.done:
            try:
                await self._push(sink)
            except UpstreamError as error:
                error.events_before = self._events.events
                raise
            if self._last:
                sink.write(self._last)
        usage = self._events.usage
        if usage is not None:
            self._prompts.learn(self._request.prompt_bytes, usage.input_tokens)

    async def _push(self, sink: Sink) -> None:
        response = self._response
        self._sink = sink
        self._ended = asyncio.get_running_loop().create_future()
        self._plain = sink.takes_chunks and self._events.between_events
        sink.steered(self)
        try:
            response.push(self)
            if sink.full:
                response.pause()
            await self._ended
        finally:
            self._plain = False
            sink.steered(None)
            response.close()
        if self._failure is not None:
            raise self._failure
        if self._events.done:
            return
        if response.error is not None:
            raise worded(self._backend, response.error, self._patience, begun=True)
        raise self._cut_short()

    def close(self) -> None:
        self._response.close()

    # The client's side steers.

    def pause(self) -> None:
        self._response.pause()

    def resume(self) -> None:
        self._response.resume()

    # The response's receiver: called within the loop's read.

    def chunks(self, data: bytes) -> bool:
        sink = self._sink
        if not self._plain or sink is None:
            return False
        begin = one_chunk(data)
        if begin:
            if not data.endswith(b"\n\n\r\n") or not self._events.passed_one(data, begin, len(data) - 4):
                return False
        elif not whole_chunks(data, self._events.STARTS, b"\n\n") or not self._events.passed(data):
            return False
        sink.write(data, True)
        return True

    def body(self, data: bytes) -> None:
        events, sink = self._events, self._sink
        if self._stopped or sink is None:
            return
        self._plain = False
        try:
            out = events.feed(data) if data else events.end()
        except EventTooLong as error:
            self._fail(garbage(self._backend, str(error)))
            return
        if events.done:
            # The client may leave on its [DONE]: it gets it when the upstream has ended, or soon.
            self._last = out
            self._timer = asyncio.get_running_loop().call_later(DRAIN_SECONDS, self._wake)
            return
        if out:
            sink.write(out)
        if events.error is not None:
            self._fail(error_from(self._backend, 500, events.error))
            return
        self._plain = sink.takes_chunks and events.between_events

    def over(self) -> None:
        if self._response.complete:
            self.body(b"")  # what is still without an empty line after it
        self._wake()

    @property
    def _stopped(self) -> bool:
        return self._events.done or self._failure is not None

    def _wake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _fail(self, failure: UpstreamError) -> None:
        self._failure = failure
        self._response.close()

    def _cut_short(self) -> UpstreamError:
        return unreachable(self._backend, "the stream ended before the answer did")

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while await self._response.chunk():
                    pass
        except (TimeoutError, HTTP1Error):
            pass
