"""A request to a model ends with its answer or with a plain error, whatever is at the other end."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from tests.scripted_peer import Connection, Peer, Script, answer, scripted_peer
from trainer.gate.chat import Chats, Endpoint
from trainer.gate.chat.chats import MAX_ANSWER_BYTES
from trainer.gate.chat.waiting import wait_seconds
from trainer.gate.errors import ChatError, GateError, RefusedError

KEY = "sk-a-very-secret-key"
ENVIRON = {"XO_GATE_KEY": KEY}
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def chats(**changed: Any) -> Chats:
    return Chats(changed.pop("concurrency", 4), longest_wait_seconds=0.05, environ=ENVIRON, **changed)


def endpoint(of: Chats, url: str, timeout_seconds: float = 5.0) -> Endpoint:
    return of.endpoint("generator g", url, "XO_GATE_KEY", timeout_seconds)


async def asked(peer: Peer, **changed: Any) -> Any:
    timeout_seconds = changed.pop("timeout_seconds", 5.0)
    async with chats(**changed) as some:
        return await endpoint(some, peer.url, timeout_seconds).chat(BODY)


def status(line: str, body: object = None, extra: str = "") -> Script:
    async def script(connection: Connection) -> None:
        await connection.json({"error": {"message": "no, no"}} if body is None else body, line, extra)

    return script


def raw(data: bytes, *, close: bool = True) -> Script:
    async def script(connection: Connection) -> None:
        await connection.send(data)
        if close:
            connection.writer.close()
        else:
            await connection.closed_by_peer()

    return script


def whole(body: bytes, extra: bytes = b"") -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n" % (extra, len(body)) + body
    )


async def hang(connection: Connection) -> None:
    await connection.closed_by_peer()


async def drip(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{")
    for _ in range(400):
        await connection.send(b" ")
        await asyncio.sleep(0.02)


async def endless(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    part = b" " * 65_536
    for _ in range(4 * MAX_ANSWER_BYTES // len(part)):
        await connection.send(b"10000\r\n" + part + b"\r\n")
    raise AssertionError("it read it all")


async def test_an_answer_comes_with_its_usage_and_the_gateways_headers() -> None:
    body = {
        "model": "handbook@v0001", "choices": [{"message": {"content": "Hé 25"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }  # fmt: skip
    extra = "x-crossover-backend: box\r\nx-crossover-adapter: handbook@v0001\r\nx-crossover-decision: 00ab\r\n"
    async with scripted_peer(status("200 OK", body, extra)) as peer:
        reply = await asked(peer)
        (request,) = peer.requests
    assert (reply.text, reply.model, reply.finish_reason) == ("Hé 25", "handbook@v0001", "stop")
    assert (reply.prompt_tokens, reply.completion_tokens) == (7, 3)
    assert (reply.backend, reply.adapter, reply.decision) == ("box", "handbook@v0001", "00ab")
    assert reply.latency_seconds > 0
    assert request.target == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(request.body) == BODY


HOSTILE: dict[str, tuple[Script, str]] = {
    "a hang": (hang, "no whole answer within 0.3 s"),
    "a byte at a time": (drip, "no whole answer within 0.3 s"),
    "an endless body": (endless, f"longer than {MAX_ANSWER_BYTES} bytes"),
    "garbage": (raw(b"\x00\x01 not HTTP at all\r\n\r\n"), "lost or refused"),
    "half a body": (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"), "lost or refused"),
    "a closed door": (raw(b""), "lost or refused"),
    "headers without end": (raw(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000), "lost or refused"),
    "HTML": (raw(whole(b"<html>no</html>")), "no chat completion"),
    "other JSON": (raw(whole(b'{"choices": "none"}')), "no chat completion"),
    "deep JSON": (raw(whole(b"[" * 500_000)), "no chat completion"),
    "no choice": (raw(whole(b'{"choices": []}')), "0 choices"),
    "no text": (raw(whole(b'{"choices": [{"message": {"content": null}}]}')), "holds no text"),
    "text beyond measure": (
        raw(whole(json.dumps({"choices": [{"message": {"content": "x" * 70_000}}]}).encode())), "70000 characters",
    ),
    "a gzip bomb": (
        raw(whole(gzip.compress(b" " * 30_000_000), b"content-encoding: gzip\r\n")), "no chat completion",
    ),
    "HTTP 500": (status("500 Internal Server Error"), "HTTP 500, no, no"),
    "HTTP 500 in HTML": (
        raw(b"HTTP/1.1 500 X\r\ncontent-length: 18\r\n\r\n<h1>\x1b[31mOops</h1>"), "HTTP 500, <h1> [31mOops</h1>",
    ),
    "HTTP 400": (status("400 Bad Request", {"message": "too long"}), "HTTP 400, too long"),
    "HTTP 502 twice": (status("502 Bad Gateway"), "HTTP 502"),
    "always busy": (status("429 Too Many Requests"), "HTTP 429, no, no, after 3 tries"),
    "a long wait": (status("503 X", None, "retry-after: 3600\r\n"), "to be left alone for '3600'"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_whatever_is_at_the_other_end_is_a_plain_error(name: str) -> None:
    script, said = HOSTILE[name]
    async with scripted_peer(script) as peer:
        with pytest.raises(ChatError) as caught:
            await asked(peer, retries=2, timeout_seconds=0.3 if "0.3 s" in said else 5.0)
    assert str(caught.value).startswith("generator g: ")
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


async def test_nobody_listens() -> None:
    async with scripted_peer() as peer:
        pass
    with pytest.raises(ChatError, match="lost or refused"):
        await asked(peer)


@pytest.mark.parametrize("code", [401, 403, 404])
async def test_what_will_never_be_answered_stops_the_gate_and_shows_no_key(code: int) -> None:
    async with scripted_peer(status(f"{code} No", {"error": {"message": f"bad key {KEY} for m"}})) as peer:
        with pytest.raises(RefusedError) as caught:
            await asked(peer)
        assert len(peer.requests) == 1
    assert KEY not in str(caught.value)
    assert "bad key *** for m" in str(caught.value)


async def test_a_redirect_is_not_followed_so_that_the_key_goes_nowhere_else() -> None:
    async with scripted_peer(answer("caught")) as thief:
        moved = status("307 Temporary Redirect", {}, f"location: {thief.url}/chat/completions\r\n")
        async with scripted_peer(moved) as peer:
            with pytest.raises(RefusedError, match="a redirect, which is not followed"):
                await asked(peer)
        assert not thief.requests


async def test_a_busy_server_is_asked_again() -> None:
    tries: list[int] = []

    async def busy_twice(connection: Connection) -> None:
        tries.append(1)
        if len(tries) < 3:
            await connection.json({}, "429 Too Many Requests" if len(tries) == 1 else "503 X", "retry-after: 0\r\n")
        else:
            await answer("at last")(connection)

    async with scripted_peer(busy_twice) as peer:
        reply = await asked(peer, retries=2)
    assert reply.text == "at last"
    assert len({request.body for request in peer.requests}) == 1


async def test_a_lost_connection_is_tried_once_more_with_the_same_request() -> None:
    async def once(connection: Connection) -> None:
        if len(peer.requests) == 1:
            connection.writer.close()
        else:
            await answer("again")(connection)

    async with scripted_peer(once) as peer:
        assert (await asked(peer)).text == "again"
        assert len({request.body for request in peer.requests}) == 1


async def test_no_more_requests_are_under_way_to_one_address_than_agreed_whoever_sends_them() -> None:
    now, most, all_here = 0, 0, asyncio.Event()

    async def slow(connection: Connection) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if len(peer.requests) >= 2:
            all_here.set()
        await all_here.wait()
        await asyncio.sleep(0.01)
        now -= 1
        await answer("ok")(connection)

    async with scripted_peer(slow) as peer, chats(concurrency=2) as some:
        first, second = endpoint(some, peer.url), endpoint(some, peer.url)
        await asyncio.gather(*(one.chat(BODY) for one in (first, second) for _ in range(5)))
    assert most == 2


async def test_a_key_that_is_missing_or_cannot_be_sent_is_said_without_it() -> None:
    for environ in ({}, {"XO_GATE_KEY": ""}, {"XO_GATE_KEY": "two\nlines"}):
        async with Chats(1, environ=environ) as some:
            with pytest.raises(GateError) as caught:
                endpoint(some, "http://127.0.0.1:1/v1")
        assert "lines" not in str(caught.value)


async def test_the_key_is_in_no_repr() -> None:
    async with chats() as some:
        assert KEY not in repr(endpoint(some, "http://127.0.0.1:1/v1"))
        assert KEY not in repr(some)


def test_waits_double_unless_the_server_says_how_long() -> None:
    assert [wait_seconds(None, tries, 0.0, 60.0) for tries in (1, 2, 3, 9)] == [0.5, 1.0, 2.0, 60.0]
    assert wait_seconds("7", 1, 0.0, 60.0) == 7
    assert wait_seconds("61", 1, 0.0, 60.0) is None
    assert wait_seconds("Thu, 01 Jan 1970 00:00:30 GMT", 1, 10.0, 60.0) == 20
    assert wait_seconds("soon", 1, 0.0, 60.0) == 0.5
