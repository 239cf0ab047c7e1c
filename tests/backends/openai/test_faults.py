"""An upstream that fails: before the first byte another may be tried, after it the stream says that it broke."""

from __future__ import annotations

import asyncio
import gc
import json
import socket

import pytest

from gateway.backends.errors import Fault
from gateway.backends.http1 import Response
from gateway.backends.sse import MAX_EVENT_BYTES
from gateway.backends.usage import MISSING
from tests.backends.http1.peer import Line, once, until
from tests.backends.openai.peer import (
    DONE,
    STREAM_HEAD,
    backend_at,
    backend_for,
    begin_stream,
    broken_off,
    chunk,
    event,
    open_connections,
    refused,
    request,
    word,
)
from tests.backends.sinks import Collector

QUICK = {"timeouts": {"first_byte_seconds": 0.2, "stall_seconds": 0.2}}
HTML = b"<html><body><h1>Internal Server Error</h1></body></html>"
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
TAKES_CHUNKS = pytest.mark.parametrize("takes_chunks", [False, True], ids=["bytes", "chunks"])


def close(line: Line) -> None:
    line.close()


def reset(line: Line) -> None:
    line.reset()


@BOTH
async def test_nobody_listens_and_nothing_was_sent(stream: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    backend = backend_at(f"http://127.0.0.1:{port}/v1")
    asked = request(stream=stream)
    error = await refused(backend, asked)
    assert (error.code, error.status, error.fault) == ("backend_unreachable", 502, Fault.UPSTREAM)
    assert str(port) not in error.message
    assert asked.wire.sent_at is None
    await backend.aclose()


@BOTH
@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-le", STREAM_HEAD], ids=["-", "half a head", "head"]
)
async def test_silence_before_the_first_byte_is_a_timeout_and_may_be_billed(stream: bool, answer: bytes) -> None:
    async with backend_for(once(answer), **QUICK) as (backend, peer):
        asked = request(stream=stream)
        error = await refused(backend, asked)
        assert (error.code, error.status) == ("backend_timeout", 504)
        assert asked.wire.sent_at is not None
        await peer.sees_the_end()


@pytest.mark.parametrize("delta", [b'"content":""', b'"content": ""', b'"content":null', b'"tool_calls":[]'])
async def test_a_role_is_no_first_byte(delta: bytes) -> None:
    role = b'data: {"choices":[{"index":0,"delta":{"role":"assistant",%b}}]}\n\n' % delta
    async with backend_for(once(STREAM_HEAD, chunk(role)), **QUICK) as (backend, peer):
        assert "the first byte" in (await refused(backend, request())).message
        await peer.sees_the_end()


async def test_a_thought_beside_an_empty_content_is_a_first_byte() -> None:
    thought = event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": "", "reasoning": "So"}}]})
    async with backend_for(once(STREAM_HEAD, chunk(thought)), **QUICK) as (backend, _):
        reply = await backend.send(request())
        assert reply.first == thought
        reply.close()


async def test_a_request_whose_time_is_over_is_not_sent() -> None:
    async with backend_for(once()) as (backend, peer):
        for asked in (request(seconds=-1), request(total_seconds=-1)):
            assert (await refused(backend, asked)).code == "backend_timeout"
            assert asked.wire.sent_at is None
        assert peer.lines == []


@BOTH
async def test_waiting_for_a_connection_in_vain_was_not_sent(stream: bool) -> None:
    async with backend_for(once(), **QUICK, max_in_flight=1) as (backend, peer):
        holding = asyncio.create_task(refused(backend, request()))
        await peer.line()
        asked = request(stream=stream, seconds=0.05)
        assert (await refused(backend, asked)).code == "backend_timeout"
        assert asked.wire.sent_at is None
        await holding


@BOTH
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"\x00\x01 not HTTP\r\n\r\n", "backend_garbage"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000 + b"\r\n\r\n", "backend_garbage"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnot hex\r\n", "backend_garbage"),
        (b"", "backend_unreachable"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", "backend_unreachable"),
        (STREAM_HEAD + b"40\r\ndata: {", "backend_unreachable"),
    ],
    ids=["no HTTP", "huge header", "chunk size", "nothing", "short body", "half a chunk"],
)  # fmt: skip
async def test_what_cannot_be_read_is_the_backends_fault(stream: bool, answer: bytes, code: str) -> None:
    async with backend_for(once(answer, then=close)) as (backend, peer):
        error = await refused(backend, request(stream=stream))
        assert (error.code, error.status, error.fault) == (code, 502, Fault.UPSTREAM)
        await peer.sees_the_end()
        await until(lambda: open_connections(backend) == 0)


@BOTH
async def test_an_error_page_in_html_is_a_502_in_our_own_words(stream: bool) -> None:
    page = b"HTTP/1.1 500 Oops\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n%b" % (len(HTML), HTML)
    async with backend_for(once(page)) as (backend, _):
        asked = request(stream=stream)
        error = await refused(backend, asked)
        assert (error.status, error.body, error.fault) == (502, None, Fault.UPSTREAM)
        assert "HTTP 500" in error.message
        assert asked.wire.sent_at is None
        assert open_connections(backend) == 1


@pytest.mark.parametrize("body", [b'{"choices":[]}', HTML], ids=["json", "html"])
async def test_a_stream_of_another_content_type_is_no_answer(body: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    async with backend_for(once(answer)) as (backend, _):
        assert (await refused(backend, request())).code == "backend_unreachable"


@BOTH
async def test_a_refusal_that_repeats_a_long_prompt_is_the_clients_fault_all_the_same(stream: bool) -> None:
    told = json.dumps({"error": {"message": "x" * 200_000, "code": 400}}).encode()
    answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: %d\r\n\r\n%b" % (len(told), told)
    async with backend_for(once(answer)) as (backend, peer):
        asked = request(stream=stream)
        error = await refused(backend, asked)
        assert (error.status, error.fault) == (400, Fault.CLIENT)
        assert asked.wire.sent_at is None
        await peer.sees_the_end()


@pytest.mark.parametrize(
    ("code", "status", "fault"),
    [(400, 400, Fault.CLIENT), (503, 503, Fault.UPSTREAM), (500, 502, Fault.UPSTREAM), ("x", 502, Fault.UPSTREAM),
     (200, 502, Fault.UPSTREAM)],
)  # fmt: skip
async def test_an_error_with_which_a_stream_begins_says_whose_fault_it_is(
    code: int | str, status: int, fault: Fault
) -> None:
    told = event({"error": {"message": "the grammar is wrong", "type": "BadRequestError", "code": code}})
    async with backend_for(once(STREAM_HEAD, chunk(told), chunk(DONE), b"0\r\n\r\n")) as (backend, _):
        error = await refused(backend, request())
        assert (error.status, error.fault, error.message) == (status, fault, "the grammar is wrong")


@pytest.mark.parametrize("how", ["shut", "cut"])
@BOTH
async def test_what_a_failed_attempt_holds_is_let_go_at_once(how: str, stream: bool) -> None:
    answer = b"" if how == "shut" else b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"
    async with backend_for(once(answer, then=close)) as (backend, peer):
        gc.collect()
        gc.disable()
        try:
            (await refused(backend, request(stream=stream))).with_traceback(None)
            await peer.sees_the_end()
            await until(lambda: open_connections(backend) == 0)
            assert not [one for one in gc.get_objects() if isinstance(one, Response)]
        finally:
            gc.enable()


async def test_a_refusal_without_an_end_is_given_up() -> None:
    async with backend_for(once(b"HTTP/1.1 503 No\r\ncontent-length: 9\r\n\r\nhal"), **QUICK) as (backend, peer):
        assert (await refused(backend, request())).code == "backend_timeout"
        await peer.sees_the_end()


@pytest.mark.parametrize("begun", [False, True], ids=["at once", "mid-stream"])
@TAKES_CHUNKS
async def test_a_line_without_an_end_is_given_up_at_4_mib(begun: bool, takes_chunks: bool) -> None:
    sent = 0

    async def endless(line: Line) -> None:
        nonlocal sent
        await begin_stream(line, *(["first"] if begun else []))
        if begun:
            await asyncio.sleep(0.05)
        while sent < 1024**3:
            await line.send(chunk(b"x" * 65536))
            sent += 65536

    async with backend_for(endless) as (backend, peer):
        if begun:
            error = await broken_off(await backend.send(request()), Collector(takes_chunks=takes_chunks))
        else:
            error = await refused(backend, request())
        assert error.code == "backend_garbage"
        await peer.sees_the_end()
        assert MAX_EVENT_BYTES <= sent < 4 * MAX_EVENT_BYTES


async def test_events_without_content_are_not_kept_without_an_end() -> None:
    sent = 0

    async def endless(line: Line) -> None:
        nonlocal sent
        await begin_stream(line)
        while sent < 1024**3:
            await line.send(chunk((b": " + b"p" * 8188 + b"\n\n") * 8))
            sent += 65536

    async with backend_for(endless) as (backend, peer):
        assert (await refused(backend, request())).code == "backend_garbage"
        await peer.sees_the_end()
        assert sent < 4 * MAX_EVENT_BYTES


ENDS = {
    "reset": ((), reset, "backend_unreachable"),
    "closed": ((), close, "backend_unreachable"),
    "half a chunk": ((b"80\r\ndata: {",), close, "backend_unreachable"),
    "half a size": ((b"8",), close, "backend_unreachable"),
    "garbage size": ((b"zz\r\nhello\r\n",), None, "backend_garbage"),
    "wrong size": ((b"3\r\ndata: {}\n\n\r\n",), None, "backend_garbage"),
    "no [DONE]": ((b"0\r\n\r\n",), close, "backend_unreachable"),
    "silence": ((), None, "backend_timeout"),
    "silence in a chunk": ((b"80\r\ndata: {",), None, "backend_timeout"),
}


@pytest.mark.parametrize("how", ENDS)
@TAKES_CHUNKS
async def test_a_stream_that_breaks_passes_on_what_came_and_says_why(how: str, takes_chunks: bool) -> None:
    parts, then, code = ENDS[how]
    words = [word(text) for text in ("one", "two", "three")]
    script = once(STREAM_HEAD + chunk(words[0]), *map(chunk, words[1:]), *parts, then=then)
    async with backend_for(script, **QUICK) as (backend, peer):
        reply = await backend.send(request())
        sink = Collector(takes_chunks=takes_chunks)
        error = await broken_off(reply, sink)
        assert error.code == code
        assert reply.first + sink.text == b"".join(words)
        assert (reply.usage.output_tokens, reply.usage.certainty) == (3, "estimated")
        assert sink.flow is None
        reply.close()
        await peer.sees_the_end()


async def test_an_early_refusal_while_the_body_is_still_being_sent_is_told() -> None:
    async def script(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        told = b'{"error":{"message":"too long"}}'
        await line.send(b"HTTP/1.1 413 No\r\ncontent-length: %d\r\n\r\n%b" % (len(told), told))
        await line.end()

    async with backend_for(script) as (backend, peer):
        error = await refused(backend, request(messages=[{"role": "user", "content": "x" * 8_000_000}]))
        assert (error.status, error.fault, error.message) == (413, Fault.CLIENT, "too long")
        await peer.sees_the_end()  # with bytes of the request under way it cannot be used again
        assert open_connections(backend) == 0


async def test_100_continue_is_no_answer() -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    async with backend_for(once(answer)) as (backend, _):
        reply = await backend.send(request(stream=False))
        assert (reply.first, reply.usage) == (b"{}", MISSING)
