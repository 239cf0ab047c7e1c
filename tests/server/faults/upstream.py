"""A cheap upstream that fails to order and counts what it truly sent: what the books are held against.

Requests are told apart by their number, with which their prompt begins. How an attempt goes is asked of `order`."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

Order = Callable[[int, int], str]
"""(number of the request, number of the attempt from 1) -> the name of a way to answer."""
PAUSES = {"slowly": 0.02, "takes a while": 0.8}
"""Seconds until a whole answer comes. A stream begins, and goes on after the pause; or trickles, if `slowly`."""
HUGE_BYTES = 5 * 2**20


@dataclass
class Sent:
    """What was sent in answer to one attempt."""

    number: int
    """Of the request."""
    way: str
    backend: str
    input_tokens: int
    output_tokens: int = 0
    events: int = 0
    """With content, sent so far."""
    whole: bool = False
    """Its usage and its end were sent too."""


@dataclass
class Upstream:
    order: Order
    urls: dict[str, str] = field(default_factory=dict)
    by_operation: dict[str, list[Sent]] = field(default_factory=lambda: defaultdict(list))
    """By the gateway's own id of the operation, which it sends as x-request-id."""
    open: int = 0
    """Connections."""
    poured: int = 0
    """Bytes of endless answers that were handed to the kernel."""


def message(number: int, size: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"{number} " + "x" * size}]


def prompt_tokens(messages: Any) -> int:
    """One for every four bytes of its JSON."""
    return max(1, len(json.dumps(messages)) // 4)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(payload: object) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


WORD = _event({"choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]})
DONE = b"data: [DONE]\n\n"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
BIG_CHUNK = _chunk(_event({"choices": [{"index": 0, "delta": {"content": "x" * 4000}, "finish_reason": None}]}))
GB = 2**30
FIREHOSE_BYTES = 48 * 2**20


def _whole(status: bytes, body: bytes, extra: bytes = b"", kind: bytes = b"application/json") -> bytes:
    head = b"HTTP/1.1 %s\r\ncontent-type: %s\r\n%scontent-length: %d\r\n\r\n" % (status, kind, extra, len(body))
    return head + body


class Line(asyncio.Protocol):
    """One connection of the gateway's."""

    def __init__(self, upstream: Upstream, backend: str) -> None:
        self._upstream = upstream
        self._backend = backend
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        self._pouring: Iterator[bytes] | None = None
        self._end = b""
        self._full = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._upstream.open += 1

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._upstream.open -= 1
        self._pouring = None

    def pour(self, head: bytes, piece: bytes, total: int, end: bytes = b"") -> None:
        """`piece` again and again, as fast as it is taken and no faster, up to `total` bytes."""
        self.transport.set_write_buffer_limits(2**18)
        self.send(head)
        self._pouring = (piece for _ in range(total // len(piece)))
        self._end = end
        self._pour()

    def _pour(self) -> None:
        while self._pouring is not None and not self._full and not self.transport.is_closing():
            piece = next(self._pouring, None)
            if piece is None:
                self._pouring = None
                self.send(self._end)
                return
            self._upstream.poured += len(piece)
            self.send(piece)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._loop.call_soon(self._pour)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._one():
            pass

    def _one(self) -> bool:
        """Answers the first request that is there whole."""
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return False
        headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(headers[b"content-length"])
        if len(rest) < length:
            return False
        self._buffer = rest[length:]
        self._answer(json.loads(rest[:length]), headers[b"x-request-id"].decode())
        return True

    def _answer(self, asked: Mapping[str, Any], operation: str) -> None:
        attempts = self._upstream.by_operation[operation]
        number = int(asked["messages"][0]["content"].split(" ")[0])
        way = self._upstream.order(number, len(attempts) + 1)
        sent = Sent(number, way, self._backend, prompt_tokens(asked["messages"]))
        attempts.append(sent)
        events = 0 if number % 97 == 0 else 1 + number % 7
        if way in BEFORE or way in ENDLESS:
            (BEFORE.get(way) or ENDLESS[way])(self)
        elif asked.get("stream"):
            self._stream(way, sent, events)
        else:
            self._body(way, sent, 3 * events)

    def _body(self, way: str, sent: Sent, output_tokens: int) -> None:
        usage = {"prompt_tokens": sent.input_tokens, "completion_tokens": output_tokens}
        choice = {"index": 0, "message": {"role": "assistant", "content": "word"}, "finish_reason": "stop"}
        answer = _whole(
            b"200 OK", json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()
        )
        if way == "cut":
            self.send(answer[:-20])
            self.transport.close()
            return
        sent.output_tokens, sent.whole = output_tokens, True
        self._later(PAUSES.get(way, 0.0), lambda: self.send(answer))

    def _stream(self, way: str, sent: Sent, events: int) -> None:
        if way == "slowly":
            self.send(STREAM)
            self._trickle(sent, 400)
            return
        if way in PAUSES:
            self.send(STREAM + _chunk(WORD))
            sent.events = 1
            self._later(PAUSES[way], lambda: self._stream("good", sent, events))
            return
        events = events or (1 if way in MID_STREAM else 0)
        self.send((b"" if sent.events else STREAM) + _chunk(WORD) * events)
        sent.events += events
        if way in MID_STREAM:
            self._later(0.03, lambda: MID_STREAM[way](self))  # in a packet of its own
            return
        sent.output_tokens, sent.whole = 3 * sent.events + 1, True
        usage = {"prompt_tokens": sent.input_tokens, "completion_tokens": sent.output_tokens}
        self.send(_chunk(_event({"choices": [], "usage": usage})) + _chunk(DONE) + b"0\r\n\r\n")

    def _trickle(self, sent: Sent, left: int) -> None:
        """So long that its client leaves first."""
        if self.transport.is_closing():
            return
        self.send(_chunk(WORD))
        sent.events += 1
        if left:
            self._later(0.005, lambda: self._trickle(sent, left - 1))

    def send(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def end(self, data: bytes) -> None:
        self.send(data)
        self.transport.close()

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        if seconds:
            self._loop.call_later(seconds, call)
        else:
            call()


def _refusal(status: bytes, extra: bytes = b"") -> bytes:
    return _whole(status, b'{"error": {"message": "no", "type": "t", "param": null, "code": null}}', extra)


REFUSALS: dict[str, bytes] = {
    "500 html": _whole(b"500 Oops", b"<html><h1>Oops</h1></html>", kind=b"text/html"),
    "503": _refusal(b"503 Busy"),
    "429": _refusal(b"429 Slow", b"retry-after: 1\r\n"),
    "401": _refusal(b"401 No"),
    "400": _refusal(b"400 Bad"),
}
"""It said so: nothing of it is billed."""
BEFORE: dict[str, Callable[[Line], None]] = {
    **{name: (lambda line, answer=answer: line.send(answer)) for name, answer in REFUSALS.items()},  # type: ignore[misc]
    "hangs": lambda line: None,
    "wrong type": lambda line: line.send(_whole(b"200 OK", b"<html>Welcome</html>", kind=b"text/html")),
    "closes": lambda line: line.transport.close(),
    "resets": lambda line: line.transport.abort(),
    "no http": lambda line: line.end(b"\x00\x01 not HTTP at all\r\n\r\n"),
    "half a head": lambda line: line.end(b"HTTP/1.1 200 OK\r\ncontent-ty"),
    "huge line": lambda line: line.end(STREAM + b"%x\r\n" % HUGE_BYTES + b"x" * HUGE_BYTES + b"\r\n"),
}
ENDLESS: dict[str, Callable[[Line], None]] = {
    "1 GB line": lambda line: line.pour(STREAM + b"%x\r\ndata: " % GB, b"x" * 2**16, GB),
    "1 GB body": lambda line: line.pour(JSON + b"content-length: %d\r\n\r\n" % GB, b"x" * 2**16, GB),
    "1 GB head": lambda line: line.pour(b"HTTP/1.1 200 OK\r\nx-long: ", b"x" * 2**16, GB),
    "1 GB error": lambda line: line.pour(b"HTTP/1.1 500 Oops\r\ncontent-length: %d\r\n\r\n" % GB, b"<p>" * 2**14, GB),
    "firehose": lambda line: line.pour(STREAM, BIG_CHUNK, FIREHOSE_BYTES, _chunk(DONE) + b"0\r\n\r\n"),
}
"""Answers that are never whole, or very long."""
MID_STREAM: dict[str, Callable[[Line], None]] = {
    "cut": lambda line: line.transport.close(),
    "reset": lambda line: line.transport.abort(),
    "half a chunk": lambda line: line.end(b"ff\r\ndata: {"),
    "no [DONE]": lambda line: line.send(b"0\r\n\r\n"),
    "stalls": lambda line: None,
    "says error": lambda line: line.send(_chunk(_event({"error": {"message": "died", "type": "t"}})) + b"0\r\n\r\n"),
}


@asynccontextmanager
async def counting_upstream(order: Order, backends: tuple[str, ...]) -> AsyncIterator[Upstream]:
    """One address for each of `backends`, on 127.0.0.1."""
    upstream = Upstream(order)
    loop = asyncio.get_running_loop()
    servers = []
    for name in backends:
        server = await loop.create_server(lambda name=name: Line(upstream, name), "127.0.0.1", 0, backlog=1024)  # type: ignore[misc]
        upstream.urls[name] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        servers.append(server)
    try:
        yield upstream
    finally:
        for server in servers:
            server.close()


@contextmanager
def upstream_in_a_thread(order: Order, backends: tuple[str, ...]) -> Iterator[Upstream]:
    """For tests that block, and for one that serves many tests. Its counts may be read at any time."""
    started: queue.SimpleQueue[Upstream] = queue.SimpleQueue()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with counting_upstream(order, backends) as upstream:
            started.put(upstream)
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="upstream", daemon=True)
    thread.start()
    try:
        yield started.get(timeout=10)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()
