"""One inference request, from its parsed body to its last byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from gateway.sandbox.bedrock import eventstream
from gateway.sandbox.bedrock.bill import Outcome
from gateway.sandbox.bedrock.bodies import Parsed, parse_invoke
from gateway.sandbox.bedrock.converse import parse_converse
from gateway.sandbox.bedrock.errors import BadChecksum, BedrockError, Dropped, StreamError, invalid
from gateway.sandbox.bedrock.exchange import Exchange
from gateway.sandbox.bedrock.faults import Fault
from gateway.sandbox.bedrock.fleet import Admission, ModelRuntime
from gateway.sandbox.bedrock.router import Route
from gateway.sandbox.bedrock.settings import GeneratingSettings
from gateway.sandbox.bedrock.shapes import Event, Metrics, Usage
from gateway.sandbox.bedrock.state import Sandbox
from gateway.sandbox.bedrock.text import Finish, Piece, TextStream

EVENT_STREAM = "application/vnd.amazon.eventstream"
SOURCE_HEADER = "x-sandbox-text-source"
GARBAGE = b"<<< neither JSON nor an event stream: fault injected by the sandbox >>>"


@dataclass(slots=True)
class Progress:
    """How far a call has come; what is billed when it is cut."""

    input_tokens: int = 0
    generated: int = 0
    written: int = 0
    started: float = field(default_factory=time.monotonic)
    first_byte: float | None = None

    def metrics(self) -> Metrics:
        now = time.monotonic()
        first = self.first_byte if self.first_byte is not None else now
        usage = Usage(self.input_tokens, self.generated)
        return Metrics(usage, round((now - self.started) * 1000), round((first - self.started) * 1000))


async def infer(sandbox: Sandbox, route: Route, model: GeneratingSettings, body: bytes, exchange: Exchange) -> None:
    """Answer one of the four operations. BedrockError before the first byte; afterwards the stream tells it."""
    runtime = sandbox.runtime(model)
    fault = sandbox.faults.take(model.key, streamed=route.streamed)
    try:
        if fault is not None:
            await early(fault)
        runtime.gate.check(runtime.in_flight)
        parsed = _parse(route, model, body, sandbox.settings.account)
        runtime.in_flight += 1
        try:
            async with runtime.admitted() as admission:
                await _Call(sandbox, route, runtime, model, parsed, admission, fault, exchange).run()
        finally:
            runtime.in_flight -= 1
    except BedrockError as error:
        runtime.outcomes[error.name] += 1
        raise
    except asyncio.CancelledError:
        runtime.outcomes["cancelled"] += 1
        runtime.cancel()
        raise


def _parse(route: Route, model: GeneratingSettings, body: bytes, account: str) -> Parsed:
    try:
        decoded: Any = json.loads(body)
    except ValueError:
        raise invalid("Malformed input request: the body is not JSON.") from None
    if not isinstance(decoded, dict):
        raise invalid("Malformed input request: the body must be a JSON object.")
    return parse_converse(decoded, model) if route.converse else parse_invoke(decoded, model, account)


async def early(fault: Fault) -> None:
    """Faults that act before anything else."""
    refusal = fault.refusal()
    if refusal is not None:
        raise refusal
    if fault.after_tokens == 0:
        if fault.kind == "hang":
            await asyncio.Event().wait()
        if fault.kind == "close":
            raise Dropped


class _Call:
    """A call that a model took in."""

    def __init__(
        self,
        sandbox: Sandbox,
        route: Route,
        runtime: ModelRuntime,
        model: GeneratingSettings,
        parsed: Parsed,
        admission: Admission,
        fault: Fault | None,
        exchange: Exchange,
    ) -> None:
        self._sandbox = sandbox
        self._route = route
        self._runtime = runtime
        self._model = model
        self._parsed = parsed
        self._admission = admission
        self._fault = fault
        self._exchange = exchange
        self._progress = Progress()

    async def run(self) -> None:
        text = await self._sandbox.text.open(self._parsed.request)
        try:
            self._check_context(text)
            self._progress.input_tokens = self._parsed.shape.input_tokens = text.input_tokens
            self._sandbox.text_sources[text.source] += 1
            self._runtime.served(self._admission)
            await self._answer(text)
        finally:
            await text.aclose()

    async def _answer(self, text: TextStream) -> None:
        # Booked before the last bytes leave, so that a client that has them finds them on the bill.
        if self._fault is not None and self._fault.kind == "garbage":
            self._book("broken")
            await self._exchange.start(200, EVENT_STREAM if self._route.streamed else "application/json")
            await self._exchange.end(GARBAGE)
            return
        try:
            finish, pieces = await self._generate(text)
        except asyncio.CancelledError:
            self._book("cancelled")
            raise
        except Dropped:
            self._book("broken")
            raise
        except BadChecksum:
            self._book("broken")
            await self._exchange.end(eventstream.corrupt(eventstream.chunk({"fault": "bad_crc"})))
        except StreamError as error:
            self._book("broken")
            if not self._exchange.started:
                raise BedrockError("ModelErrorException", error.message) from error
            await self._exchange.end(eventstream.exception(error.name, error.body()))
        else:
            self._book("completed")
            await self._finish(finish, pieces, text.source)

    def _check_context(self, text: TextStream) -> None:
        limit, asked = self._model.context_tokens, self._parsed.request.max_tokens
        if text.input_tokens + asked > limit:
            raise invalid(
                f"The input of {text.input_tokens} tokens and up to {asked} of output pass the model's context of "
                f"{limit} tokens: shorten the input or ask for less."
            )

    async def _generate(self, text: TextStream) -> tuple[Finish, list[Piece]]:
        """Write the pieces of a stream as they fall due, or collect them for a whole answer."""
        progress, streamed = self._progress, self._route.streamed
        pieces: list[Piece] = []
        finish = Finish("length")
        async with contextlib.aclosing(self._paced(text)) as paced:
            async for part in paced:
                if isinstance(part, Finish):
                    progress.generated += part.tokens
                    finish = part
                    continue
                if progress.first_byte is None:
                    progress.first_byte = time.monotonic()
                    if streamed:
                        await self._open_stream(text.source)
                if streamed:
                    await self._disturb()
                progress.generated += part.tokens
                pieces.append(part)
                if streamed:
                    await self._write(self._parsed.shape.delta(part))
                    progress.written = progress.generated
        return finish, pieces

    async def _paced(self, text: TextStream) -> AsyncGenerator[Piece | Finish, None]:
        """The parts at the model's pace: the first after its delay, token n at n / speed after that."""
        slower = self._fault.factor if self._fault is not None and self._fault.kind == "slow" else 1.0
        speed = self._model.tokens_per_second / slower
        due = self._progress.started + self._model.delay_seconds(text.input_tokens) * slower
        tokens = 0
        async for part in text.parts:
            if not isinstance(part, Finish):
                tokens += part.tokens
            wait = due + max(0, tokens - 1) / speed - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            yield part

    async def _disturb(self) -> None:
        """Faults that act in a stream, once enough tokens were written."""
        fault = self._fault
        if fault is None or self._progress.written < fault.after_tokens:
            return
        if fault.kind == "mid_stream_exception":
            raise StreamError(fault.exception, "The model stream failed (fault injected).")
        if fault.kind == "bad_crc":
            raise BadChecksum
        if fault.kind == "close":
            raise Dropped
        if fault.kind == "hang":
            await asyncio.Event().wait()

    async def _open_stream(self, source: str) -> None:
        headers = {SOURCE_HEADER: source}
        if not self._route.converse:
            headers["x-amzn-bedrock-content-type"] = "application/json"
        await self._exchange.start(200, EVENT_STREAM, headers)
        await self._write(self._parsed.shape.opening())

    async def _write(self, events: list[Event]) -> None:
        if events:
            await self._exchange.send(_frames(events))

    async def _finish(self, finish: Finish, pieces: list[Piece], source: str) -> None:
        metrics = self._progress.metrics()
        if self._route.streamed:
            if not self._exchange.started:
                await self._open_stream(source)
            events = self._parsed.shape.closing(finish, metrics)
            if self._model.usage_in_stream == "metrics" and not self._route.converse:
                events[-1][1]["amazon-bedrock-invocationMetrics"] = metrics.json()
            await self._exchange.end(_frames(events))
            return
        headers = {SOURCE_HEADER: source}
        if not self._route.converse:
            headers["x-amzn-bedrock-invocation-latency"] = str(metrics.latency_ms)
            if self._model.usage_headers:
                headers["x-amzn-bedrock-input-token-count"] = str(metrics.usage.input_tokens)
                headers["x-amzn-bedrock-output-token-count"] = str(metrics.usage.output_tokens)
        body = json.dumps(self._parsed.shape.whole(pieces, finish, metrics)).encode()
        await self._exchange.start(200, "application/json", headers | {"content-length": str(len(body))})
        await self._exchange.end(body)

    def _book(self, outcome: Outcome) -> None:
        progress = self._progress
        cut = progress.written if self._route.streamed else progress.generated
        self._runtime.bill.book(
            request_id=self._exchange.request_id,
            operation=self._route.operation,
            outcome=outcome,
            input_tokens=progress.input_tokens,
            output_tokens=progress.generated if outcome == "completed" else cut,
            arrived_ns=self._admission.arrived_ns,
            copy=self._admission.copy,
        )
        if outcome != "cancelled":
            self._runtime.outcomes[outcome] += 1


def _frames(events: list[Event]) -> bytes:
    return b"".join(
        eventstream.chunk(payload) if name == "chunk" else eventstream.event(name, payload) for name, payload in events
    )
