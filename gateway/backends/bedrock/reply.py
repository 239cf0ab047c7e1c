"""A streamed answer under way: translated event by event, and never kept."""

from __future__ import annotations

import asyncio

import msgspec

from gateway.backends.bedrock import errors
from gateway.backends.bedrock.answer import DONE, Answer
from gateway.backends.bedrock.eventstream import DamagedStream, Decoder, Message
from gateway.backends.bedrock.shapes import Translator
from gateway.backends.bedrock.tally import Tally
from gateway.backends.contract import Sink
from gateway.backends.errors import UpstreamError, garbage, too_slow
from gateway.backends.http1 import Response
from gateway.backends.http1.errors import HTTP1Error
from gateway.backends.usage import Usage
from gateway.backends.wire import Patience, worded


class StreamReply:
    """An event stream turned into server-sent events. Each step gives all the events that one read completed."""

    content_type = "text/event-stream"

    def __init__(
        self,
        backend: str,
        response: Response,
        translator: Translator,
        answer: Answer,
        tally: Tally,
        *,
        patience: Patience,
        include_usage: bool,
        admitted_at: float,
    ) -> None:
        self._backend = backend
        self._response = response
        self._patience = patience
        self._translator = translator
        self._answer = answer
        self._tally = tally
        self._include_usage = include_usage
        self._admitted_at = admitted_at
        self._decoder = Decoder()
        self.first = b""
        self._failure: UpstreamError | None = None
        self._over = False

    @property
    def usage(self) -> Usage:
        return self._tally.usage

    @property
    def admitted_at(self) -> float:
        return self._admitted_at

    async def begin(self) -> None:
        """Waits for the first bytes that a client would get, until the response's first-byte deadline; from then on
        silence is limited. Raises `UpstreamError`."""
        self.first = await self._next()

    async def relay(self, sink: Sink) -> None:
        try:
            while not self._over:
                sink.write(await self._next())
                if sink.full:
                    await self._drained(sink)
        finally:
            self.close()

    def close(self) -> None:
        if not self._over:
            self._over = True
            self._response.close()

    async def _drained(self, sink: Sink) -> None:
        """The total deadline holds for a client that reads slowly, too."""
        try:
            async with asyncio.timeout_at(self._response.total_due):
                await sink.drained()
        except TimeoutError:
            raise self._fail(too_slow(self._backend, round(self._patience.total_seconds, 3))) from None

    async def _next(self) -> bytes:
        if self._failure is not None:
            raise self._fail(self._failure)
        while data := await self._read():
            out = self._translate(data)
            if out:
                return out
        return self._end()

    async def _read(self) -> bytes:
        self._response.awaiting_first = not self.first  # what gave a client nothing yet was no first byte
        try:
            return await self._response.chunk()
        except HTTP1Error as error:
            raise self._fail(worded(self._backend, error, self._patience, begun=bool(self.first))) from None
        except BaseException:
            self._over = True
            raise

    def _translate(self, data: bytes) -> bytes:
        """The events in `data`. A failure behind some events waits until those are delivered."""
        try:
            messages = self._decoder.feed(data)
        except DamagedStream as error:
            messages = error.before
            self._failure = garbage(self._backend, str(error))
        events = b""
        try:
            for message in messages:
                events += self._one(message)
        except UpstreamError as error:
            self._failure = error
        except (ValueError, msgspec.MsgspecError):
            self._failure = garbage(self._backend, "an event whose JSON is not of the expected shape")
        if self._failure is not None and not events:
            raise self._fail(self._failure)
        return events

    def _one(self, message: Message) -> bytes:
        if message.kind != "event":
            raise errors.from_stream(self._backend, message.name, message.payload)
        return self._translator.event(message.name, message.payload)

    def _end(self) -> bytes:
        if self._decoder.pending_bytes or not self._translator.finished:
            raise self._fail(garbage(self._backend, "the stream ended before the answer did"))
        self._over = True
        self._tally.finish()
        return (self._answer.usage_event(self._tally.usage) if self._include_usage else b"") + DONE

    def _fail(self, error: UpstreamError) -> UpstreamError:
        self._over = True
        self._response.close()
        return error
