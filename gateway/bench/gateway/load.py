"""The load client: a process of its own that is told rounds on stdin, a line of JSON each, and answers on stdout.

Closed loop: so many connections, each sending its next request when the last one is answered, until the time is over.
An answer that is not complete is an error and never a sample: a status other than 200, a connection that closed early,
a stream without all its chunks and its `[DONE]`, a whole answer that is not JSON with a message.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import Counter
from time import perf_counter
from typing import cast

import httptools
import msgspec

GRACE_SECONDS = 20.0
"""How long a round waits for answers that are under way when its time is over; then they are errors."""


class Round(msgspec.Struct, frozen=True):
    """What to send. `body`: JSON text. `tokens`: chunks that a stream must bring. Connections begin spread over
    `spread_seconds`; each asks at least `least` times, and until `seconds` are over."""

    host: str
    port: int
    key: str
    body: str
    stream: bool
    tokens: int
    concurrency: int
    seconds: float
    spread_seconds: float = 0.0
    least: int = 1


class Measured(msgspec.Struct):
    """Seconds. `ttft` and `gaps` (between events, 0 where they come together) are of streams only. `errors`: counts by
    reason."""

    seconds: float = 0.0
    latency: list[float] = []
    ttft: list[float] = []
    gaps: list[float] = []
    events: int = 0
    errors: dict[str, int] = {}


class Connection(asyncio.Protocol):
    def __init__(self, load: Load) -> None:
        self._load = load
        self.transport: asyncio.Transport | None = None
        self.asking = False

    def ask(self) -> None:
        assert self.transport is not None
        self.asking = True
        self._parser = httptools.HttpResponseParser(self)
        self._tail = b""
        self._events = 0
        self._now = self._last = self._sent = perf_counter()
        self._first = 0.0
        self.transport.write(self._load.data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.transport = None
        if self.asking:
            self.asking = False
            self._load.failed("the connection closed before the answer was complete", self)

    def data_received(self, data: bytes) -> None:
        self._now = perf_counter()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, AttributeError):
            self._fail("not HTTP, or bytes after the answer")

    def on_body(self, body: bytes) -> None:
        if not self._load.stream:
            self._tail += body
            return
        joined = self._tail + body
        events = joined.count(b"\n\n")
        # What is kept: the piece after the last whole event, or the end of the stream, which is looked at there.
        self._tail = joined[joined.rfind(b"\n\n") + 2 :] if events else joined
        if not events:
            return
        if b"data: [DONE]\n\n" in joined:
            self._tail = b"[DONE]"
            events -= 1
        measured = self._load.measured
        if self._first:
            measured.gaps.append(self._now - self._last)
        else:
            self._first = self._now
        if events > 1:  # together: no gap between them
            measured.gaps.extend([0.0] * (events - 1))
        self._last = self._now
        self._events += events

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        load = self._load
        if status != 200:
            self._fail(f"status {status}")
        elif load.stream and (self._events < load.tokens or self._tail != b"[DONE]"):
            self._fail("a stream without all its chunks and its [DONE]")
        elif not load.stream and not (b'"message"' in self._tail and self._tail.rstrip().endswith(b"}")):
            self._fail("a whole answer without a message")
        else:
            self.asking = False
            load.measured.latency.append(self._now - self._sent)
            if load.stream:
                load.measured.ttft.append(self._first - self._sent)
                load.measured.events += self._events
            load.answered(self)

    def _fail(self, why: str) -> None:
        if self.asking:
            self.asking = False
            if self.transport is not None:
                self.transport.abort()
            self._load.failed(why, self)


class Load:
    """One round."""

    def __init__(self, told: Round) -> None:
        self._told = told
        self.stream, self.tokens = told.stream, told.tokens
        self.measured = Measured(errors=Counter())
        body = told.body.encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: {told.host}:{told.port}\r\n"
            f"authorization: Bearer {told.key}\r\ncontent-type: application/json\r\naccept: */*\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self.data = head.encode() + body
        self._connections: set[Connection] = set()
        self._asked: Counter[Connection] = Counter()
        self._open: set[asyncio.Task[None]] = set()
        self._until = 0.0
        self._ended = asyncio.Event()
        self._failures = 0

    async def run(self) -> Measured:
        told = self._told
        connections = await asyncio.gather(*(self._connect() for _ in range(told.concurrency)))
        began = perf_counter()
        self._until = began + told.seconds
        self._connections = set(connections)
        loop = asyncio.get_running_loop()
        for number, connection in enumerate(connections):
            loop.call_later(told.spread_seconds * number / told.concurrency, self._next, connection)
        try:
            async with asyncio.timeout(told.seconds + told.spread_seconds + GRACE_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            self.measured.errors["no complete answer in time"] = len(self._connections)
        self.measured.seconds = perf_counter() - began
        for connection in connections:
            connection.asking = False
            if connection.transport is not None:
                connection.transport.abort()
        return self.measured

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(lambda: Connection(self), self._told.host, self._told.port)
        return made

    def answered(self, connection: Connection) -> None:
        asyncio.get_running_loop().call_soon(self._next, connection)

    def failed(self, why: str, connection: Connection) -> None:
        self.measured.errors[why] = self.measured.errors.get(why, 0) + 1
        self._failures += 1
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        if perf_counter() < self._until and self._failures < 1000:
            task = asyncio.get_running_loop().create_task(self._again())
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        else:
            self._look()

    async def _again(self) -> None:
        try:
            connection = await self._connect()
        except OSError:
            self.measured.errors["no connection"] = self.measured.errors.get("no connection", 0) + 1
            self._look(1)
            return
        self._connections.add(connection)
        self._asked[connection] = self._told.least
        self._next(connection)

    def _next(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        if connection.transport is None or connection.transport.is_closing():
            # Closed between two requests, as any server may: no error.
            self._connections.discard(connection)
            task = asyncio.get_running_loop().create_task(self._again())
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        elif self._asked[connection] < self._told.least or perf_counter() < self._until:
            self._asked[connection] += 1
            connection.ask()
        else:
            self._connections.discard(connection)
            if connection.transport is not None:
                connection.transport.abort()
            self._look()

    def _look(self, ending: int = 0) -> None:
        if not self._connections and len(self._open) <= ending:
            self._ended.set()


async def main() -> None:
    loop = asyncio.get_running_loop()
    gc.freeze()
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        measured = await Load(msgspec.json.decode(line, type=Round)).run()
        sys.stdout.buffer.write(msgspec.json.encode(measured) + b"\n")
        sys.stdout.buffer.flush()
        gc.collect()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
