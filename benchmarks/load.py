"""The load client: a process of its own that is told rounds on stdin, one JSON line each, and answers on stdout.

Closed loop: `concurrency` connections, each sending its next request when the last is answered. Connections are kept
over the rounds. The HTTP is read by hand, so that the client costs little of the two cores that it may have to share.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from urllib.parse import urlsplit

import msgspec

TIMEOUT_SECONDS = 60.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Round(msgspec.Struct, frozen=True):
    """What to send. `body` is JSON text. Connections begin spread over `spread_seconds`, not in one burst."""

    url: str
    key: str
    body: str
    stream: bool
    concurrency: int
    requests: int
    spread_seconds: float = 0.0


class Measured(msgspec.Struct):
    """Seconds. `ttft` and `gaps` (between the reads that bring events) are of streams only."""

    seconds: float
    latency: list[float] = []
    ttft: list[float] = []
    gaps: list[float] = []
    events: int = 0


class Answer(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._whole: asyncio.Future[float] | None = None
        self._measured = Measured(0.0)
        self._stream = False
        self._buffer = b""
        self._needs: int | None = None
        self._sent_at = self._last_at = 0.0
        self._started = self._done = False

    def ask(self, data: bytes, stream: bool, measured: Measured) -> asyncio.Future[float]:
        """Resolves to the whole latency; raises ConnectionError where the answer is not a good one."""
        self._whole = asyncio.get_running_loop().create_future()
        self._measured, self._stream = measured, stream
        self._buffer, self._needs = b"", None
        self._started = self._done = False
        assert self.transport is not None
        self._sent_at = time.perf_counter()
        self.transport.write(data)
        return self._whole

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.transport = None
        self._fail("the connection was closed")

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._buffer += data
        if self._needs is None and not self._read_head():
            return
        if self._stream:
            self._read_events(now)
        elif len(self._buffer) == self._needs:
            self._end(now)

    def _read_head(self) -> bool:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return False
        length = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200") or (length is None) is not self._stream:
            self._fail(f"not the answer asked for: {self._buffer[:600]!r}")
            return False
        self._buffer, self._needs = rest, int(length[1]) if length else 0
        return True

    def _read_events(self, now: float) -> None:
        """Events end with an empty line in LF; the chunks around them have CRLF."""
        events = self._buffer.count(b"\n\n")
        if events:
            if not self._started:
                self._started = True
                self._measured.ttft.append(now - self._sent_at)
            else:
                self._measured.gaps.append(now - self._last_at)
                self._measured.gaps.extend([0.0] * (events - 1))
            self._measured.events += events
            self._last_at = now
            self._done = self._done or b"data: [DONE]\n\n" in self._buffer
        if self._buffer.endswith(b"\r\n0\r\n\r\n"):
            if self._done:
                self._end(now)
            else:
                self._fail(f"the stream ended without [DONE]: {self._buffer[-300:]!r}")
        elif events:  # counted once
            self._buffer = self._buffer[self._buffer.rfind(b"\n\n") + 2 :]

    def _end(self, now: float) -> None:
        if self._whole is not None and not self._whole.done():
            self._whole.set_result(now - self._sent_at)

    def _fail(self, why: str) -> None:
        if self._whole is not None and not self._whole.done():
            self._whole.set_exception(ConnectionError(why))


class Client:
    def __init__(self) -> None:
        self._idle: dict[str, list[Answer]] = {}

    async def run(self, told: Round) -> Measured:
        parts = urlsplit(told.url)
        body = told.body.encode()
        data = (
            f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {told.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode() + body
        idle = self._idle.setdefault(parts.netloc, [])
        while len(idle) < told.concurrency:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(Answer, parts.hostname or "", parts.port or 80)
            idle.append(connection)
        left = iter(range(told.requests))
        measured = Measured(0.0)

        async def one_connection(number: int, connection: Answer) -> None:
            if told.spread_seconds:
                await asyncio.sleep(told.spread_seconds * number / told.concurrency)
            for _ in left:
                measured.latency.append(await connection.ask(data, told.stream, measured))

        began = time.perf_counter()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await asyncio.gather(*(one_connection(*each) for each in enumerate(idle[: told.concurrency])))
        measured.seconds = time.perf_counter() - began
        return measured


async def main() -> None:
    client = Client()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        measured = await client.run(msgspec.json.decode(line, type=Round))
        sys.stdout.buffer.write(msgspec.json.encode(measured) + b"\n")
        sys.stdout.buffer.flush()


class LoadProcess:
    """The client from outside."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def run(self, told: Round) -> Measured:
        """Raises RuntimeError where any answer was not a good one; the client's stderr says why."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(told) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the load client ended while asking {told.url}")
        return msgspec.json.decode(line, type=Measured)


@contextmanager
def load_process() -> Iterator[LoadProcess]:
    process = subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield LoadProcess(process)
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
