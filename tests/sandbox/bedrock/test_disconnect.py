"""A client that goes away stops the work, and what was written is billed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import aiohttp
import httpx
import pytest

from gateway.sandbox.bedrock.server import serve
from tests.sandbox.bedrock.conftest import ARN, BASE, Running, settings

HEADERS = {"authorization": "Bearer key"}


def until_cancelled(running: Running, model: str) -> dict[str, object]:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        state = running.state(model)
        if state["cancelled"]:
            return state
        time.sleep(0.01)
    raise AssertionError("the sandbox saw no cancel")


@pytest.mark.parametrize("operation", ["invoke", "invoke-with-response-stream"])
def test_leaving_before_the_first_byte_is_seen(start: Callable[..., Running], operation: str) -> None:
    running = start(base={"first_token_seconds": 30})
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{running.url}/model/{BASE}/{operation}", json={"prompt": "x"}, headers=HEADERS, timeout=0.3)
    state = until_cancelled(running, BASE)
    assert state["in_flight"] == 0
    assert state["last_cancel_unix_seconds"] is not None
    assert running.bill(BASE)["cancelled"]["output_tokens"] == 0


def test_leaving_a_stream_stops_it_and_bills_what_was_written(start: Callable[..., Running]) -> None:
    running = start(imported={"cold_start_seconds": 0, "tokens_per_second": 50})
    body = {"prompt": "x", "max_tokens": 2000, "ignore_eos": True}
    answer = running.client.invoke_model_with_response_stream(modelId=ARN, body=json.dumps(body))
    events = iter(answer["body"])
    seen = [next(events) for _ in range(5)]
    answer["body"].close()
    state = until_cancelled(running, ARN)
    assert state["in_flight"] == 0
    bill = running.bill(ARN)
    assert len(seen) <= bill["cancelled"]["output_tokens"] < 200
    assert bill["completed"]["calls"] == 0
    assert len(bill["windows"]) == 1
    written = bill["cancelled"]["output_tokens"]
    time.sleep(0.2)
    assert running.bill(ARN)["cancelled"]["output_tokens"] == written


def test_leaving_the_queue_gives_the_place_to_the_next(start: Callable[..., Running]) -> None:
    running = start(imported={"blocking_wait_seconds": 300})
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{running.url}/model/{ARN.replace('/', '%2F')}/invoke", json={"prompt": "x"}, headers=HEADERS, timeout=0.3
        )
    assert until_cancelled(running, ARN)["queued"] == 0
    assert running.bill(ARN)["calls"] == []
    running.advance(60)
    assert running.chat(max_tokens=1)


async def test_a_finished_answer_on_a_closing_connection_is_no_cancel() -> None:
    async with serve(settings()) as served, aiohttp.ClientSession() as session:
        for _ in range(20):
            async with session.post(
                f"{served.url}/model/{BASE}/invoke",
                json={"prompt": "x", "max_gen_len": 1},
                headers={**HEADERS, "connection": "close"},
            ) as answer:
                assert answer.status == 200
                await answer.read()
        state = served.sandbox.state()
        assert state["cancelled"] == 0
        assert state["models"][BASE]["outcomes"] == {"completed": 20}
