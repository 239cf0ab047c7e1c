"""Events to open pages: one state for all, nothing for nobody, and an end that holds nothing up."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from gateway.server.console.stream import (
    HEARTBEAT,
    MOST_LISTENERS,
    SESSION_OVER,
    SHUTTING_DOWN,
    EventStream,
    Listener,
    Stream,
)
from tests.gateway_process import ADMIN_KEY, GatewayProcess

TICK_SECONDS = 0.05


class Source:
    """What a stream asks for, counted."""

    def __init__(self) -> None:
        self.made = 0
        self.ending = False
        self.fails = False

    def __call__(self) -> bytes:
        self.made += 1
        if self.fails:
            raise ValueError("no figures")
        return str(self.made).encode()

    def stream(self, **changed: Any) -> Stream:
        return Stream(self, lambda: self.ending, tick_seconds=TICK_SECONDS, **changed)


def listener(alive: Callable[[], bool] = lambda: True) -> Listener:
    return Listener(alive)


async def test_one_state_is_made_a_tick_for_all_who_listen() -> None:
    source = Source()
    stream = source.stream()
    all_of_them = [listener() for _ in range(8)]
    for one in all_of_them:
        stream.join(one)
    first = [await one.next() for one in all_of_them]
    assert first == [b"event: state\ndata: 1\n\n"] * 8
    second = [await one.next() for one in all_of_them]
    assert second == [b"event: state\ndata: 2\n\n"] * 8
    assert source.made == 2


async def test_nothing_is_made_while_nobody_listens() -> None:
    source = Source()
    stream = source.stream()
    one = listener()
    stream.join(one)
    await one.next()
    stream.leave(one)
    made = source.made
    await asyncio.sleep(4 * TICK_SECONDS)
    assert (source.made, len(stream)) == (made, 0)
    stream.join(one)
    assert await one.next() is not None
    assert source.made == made + 1


async def test_a_slow_page_skips_states_and_holds_nobody_up() -> None:
    source = Source()
    stream = source.stream()
    slow, quick = listener(), listener()
    stream.join(slow)
    stream.join(quick)
    for _ in range(4):
        newest = await quick.next()
    assert await slow.next() == newest


async def test_a_state_that_cannot_be_made_is_a_comment_and_the_next_one_comes() -> None:
    source = Source()
    source.fails = True
    stream, one = source.stream(), listener()
    stream.join(one)
    assert await one.next() == HEARTBEAT
    source.fails = False
    assert await one.next() == b"event: state\ndata: 2\n\n"


async def test_the_end_of_a_session_ends_its_page_alone() -> None:
    stream = Source().stream()
    ended, other = listener(lambda: False), listener()
    stream.join(ended)
    stream.join(other)
    assert (await ended.next() or b"").startswith(b"event: state")
    assert await ended.next() == SESSION_OVER
    assert await ended.next() is None
    for _ in range(3):
        assert (await other.next() or b"").startswith(b"event: state")


async def test_shutting_down_ends_all_pages() -> None:
    source = Source()
    stream = source.stream()
    both = [listener(), listener()]
    for one in both:
        stream.join(one)
        await one.next()
    source.ending = True
    last = []
    for one in both:
        while (frame := await one.next()) is not None:
            last.append(frame)
    assert last == [SHUTTING_DOWN] * 2


async def test_a_page_that_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.server.console.stream.STALL_SECONDS", 0.05)
    stream = Source().stream()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if len(sent) > 2:  # the head and one state are taken, then the buffers are full
            await asyncio.Event().wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    async with asyncio.timeout(5):
        await EventStream(stream, lambda: True, {})({}, receive, send)
    assert sent == ["http.response.start", "http.response.body", "http.response.body"]
    assert len(stream) == 0


@pytest.fixture
async def owner(idle_gateway: GatewayProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with logged_in(idle_gateway) as client:
        yield client


@asynccontextmanager
async def logged_in(gateway: GatewayProcess) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(base_url=gateway.root, headers={"origin": gateway.root}, limits=limits) as client:
        assert (await client.post("/console/login", json={"key": ADMIN_KEY})).status_code == 204
        yield client


async def events(answer: httpx.Response) -> AsyncIterator[tuple[str, str]]:
    name = ""
    async for line in answer.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, value


async def test_a_page_hears_the_state_every_second(owner: httpx.AsyncClient) -> None:
    async with owner.stream("GET", "/console/api/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        heard = events(answer)
        states = [json.loads((await anext(heard))[1]) for _ in range(3)]
    assert states[0]["at"] < states[1]["at"] < states[2]["at"]
    assert len({state["run"] for state in states}) == 1


async def test_the_number_of_open_pages_is_bounded_and_a_place_is_given_back(owner: httpx.AsyncClient) -> None:
    async with AsyncExitStack() as pages:
        for _ in range(MOST_LISTENERS):
            answer = await pages.enter_async_context(owner.stream("GET", "/console/api/stream"))
            assert answer.status_code == 200
        refused = await owner.get("/console/api/stream")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "too_many_consoles")
    deadline = time.monotonic() + 10
    while True:
        async with owner.stream("GET", "/console/api/stream") as answer:
            if answer.status_code == 200:
                break
        assert time.monotonic() < deadline, "the places of pages that are gone are not given back"
        await asyncio.sleep(0.05)


async def test_logging_out_ends_the_open_page(owner: httpx.AsyncClient) -> None:
    async with owner.stream("GET", "/console/api/stream") as answer:
        heard = events(answer)
        assert (await anext(heard))[0] == "state"
        await owner.post("/console/logout")
        rest = [event async for event in heard]
    assert rest[-1] == ("end", "session")


async def test_open_pages_do_not_hold_up_the_shutdown(gateway: GatewayProcess) -> None:
    async with logged_in(gateway) as owner, owner.stream("GET", "/console/api/stream") as answer:
        heard = events(answer)
        assert (await anext(heard))[0] == "state"
        stopping = asyncio.create_task(asyncio.to_thread(gateway.stop))
        rest = [event async for event in heard]
        await stopping
    assert rest[-1] == ("end", "shutdown"), "ended by the console, and not cut when drain_seconds had passed"
    assert "Traceback" not in gateway.log()
