"""The gateway's ledger and the sandbox's bill: two programs that counted the same traffic apart, and agree."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest

from gateway.sandbox.bedrock.reconcile import differences
from gateway.sandbox.bedrock.server import Served, serve_in_thread
from tests.end_to_end.fleets import FOUNDATION, IMPORTED, cloud, cloud_aliases, sandbox_settings
from tests.gateway_process import API_KEY, GatewayProcess

Start = Callable[..., GatewayProcess]
MODELS = {"cmi": IMPORTED, "bedrock-base": FOUNDATION}
WINDOW_NANOUSD = 5_718_000  # 2 units x $0.05718 a minute x 3 s


@pytest.fixture
def sandbox() -> Iterator[Served]:
    with serve_in_thread(sandbox_settings()) as served:
        yield served


def start(start_gateway: Start, sandbox: Served) -> GatewayProcess:
    return start_gateway(backends=cloud(sandbox.url), aliases=cloud_aliases())


def bill(sandbox: Served) -> Any:
    return httpx.get(sandbox.url + "/_sandbox/bill").json()


def fault(sandbox: Served, **settings: Any) -> None:
    httpx.post(sandbox.url + "/_sandbox/faults", json=settings).raise_for_status()


async def ask(client: openai.AsyncOpenAI, model: str, text: str, stream: bool, most: int = 12) -> int:
    """Asks, and returns the completion tokens that the client was told."""
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    if not stream:
        answer = await client.chat.completions.create(model=model, messages=messages, max_tokens=most)
        assert answer.choices[0].message.content
        return answer.usage.completion_tokens if answer.usage else -1
    events = await client.chat.completions.create(
        model=model, messages=messages, max_tokens=most, stream=True, stream_options={"include_usage": True}
    )
    told, said = -1, ""
    async for event in events:
        said += (event.choices[0].delta.content or "") if event.choices else ""
        told = event.usage.completion_tokens if event.usage else told
    assert said
    return told


def agreed(gateway: GatewayProcess, sandbox: Served) -> tuple[dict[str, Any], Any]:
    """The books and the bill once no window is open any more."""
    deadline = time.monotonic() + 20
    while True:
        state = httpx.get(gateway.root + "/health/backends").json()["backends"]["cmi"]["window"]
        books, billed = gateway.books(), bill(sandbox)
        settled = not state["copies"] and state["seconds_left"] == 0
        if (settled and not differences(books, billed, MODELS)) or time.monotonic() > deadline:
            return books, billed
        time.sleep(0.2)


async def test_after_a_mixed_run_they_agree_to_the_token_the_window_and_the_nano_dollar(
    start_gateway: Start, sandbox: Served
) -> None:
    gateway = start(start_gateway, sandbox)
    told = dict.fromkeys(MODELS, 0)
    async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:

        async def one(model: str, number: int, stream: bool) -> None:
            backend = "cmi" if model.startswith("cmi") else "bedrock-base"
            tokens = await ask(client, model, f"Question {number}", stream, most=5 + number % 9)
            told[backend] += tokens

        for round_ in range(3):  # two bursts within a copy's life, and one after it has gone
            await asyncio.gather(*(one(model, i, stream=i % 2 == 0) for model in cloud_aliases() for i in range(4)))
            await asyncio.sleep(1.7 if round_ == 0 else 7.0)
    books, billed = await asyncio.to_thread(agreed, gateway, sandbox)
    assert differences(books, billed, MODELS) == []
    assert billed["models"][IMPORTED]["completed"]["calls"] == books["cmi"]["requests"] == 36
    assert books["cmi"]["output_tokens"] == told["cmi"]
    assert books["bedrock-base"]["output_tokens"] == told["bedrock-base"]
    assert books["cmi"]["windows"] >= 3
    assert books["cmi"]["nanousd"] == books["cmi"]["windows"] * WINDOW_NANOUSD
    assert books["bedrock-base"]["unsure_tokens"] == books["cmi"]["unsure_tokens"] == 0


async def test_throttling_and_faults_before_the_first_byte_leave_no_trace_in_money(
    start_gateway: Start, sandbox: Served
) -> None:
    gateway = start(start_gateway, sandbox)
    async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:
        for kind in ("throttle", "internal", "unavailable"):
            fault(sandbox, model=FOUNDATION, kind=kind, count=1)
            with pytest.raises(openai.APIStatusError):
                await ask(client, "base-converse", "hi", stream=False)
            await asyncio.sleep(1.1 if kind == "throttle" else 0)
        await ask(client, "base-converse", "hi", stream=True)
    books, billed = await asyncio.to_thread(agreed, gateway, sandbox)
    assert differences(books, billed, MODELS) == []
    assert books["bedrock-base"]["requests"] == 1


async def test_a_cold_model_is_waited_for_and_the_window_counts_from_the_call_that_succeeded(
    start_gateway: Start, sandbox: Served
) -> None:
    gateway = start(start_gateway, sandbox)
    async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:
        await ask(client, "cmi-chat", "hi", stream=False)
    books, billed = await asyncio.to_thread(agreed, gateway, sandbox)
    assert differences(books, billed, MODELS) == []
    assert books["cmi"]["windows"] == 1


async def test_a_restarted_gateway_knows_the_window_that_is_still_paid(start_gateway: Start) -> None:
    with serve_in_thread(sandbox_settings(window_seconds=1200, idle_seconds=1200)) as sandbox:
        backends = cloud(sandbox.url)
        backends["cmi"]["cost"] |= {"window_minutes": 0.2, "idle_minutes": 0.2}
        gateway = start_gateway(backends=backends, aliases=cloud_aliases())
        async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:
            await ask(client, "cmi-chat", "hi", stream=False)
        await asyncio.sleep(0.6)  # the ledger has been written
        gateway.kill()
        gateway.restart()
        async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:
            await ask(client, "cmi-chat", "again", stream=False)
        books = await asyncio.to_thread(gateway.books)
        assert books["cmi"]["requests"] == 2
        assert books["cmi"]["windows"] == 1


async def test_a_request_that_asks_what_bedrock_cannot_carry_is_told_the_field_and_costs_nothing(
    start_gateway: Start, sandbox: Served
) -> None:
    gateway = start(start_gateway, sandbox)
    async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:
        for field, value in (("tools", [{"type": "function", "function": {"name": "f"}}]), ("n", 2)):
            with pytest.raises(openai.BadRequestError) as raised:
                await client.chat.completions.create(
                    model="base-converse", messages=[{"role": "user", "content": "hi"}], **{field: value}
                )  # type: ignore[call-overload]
            assert raised.value.param == field
    assert await asyncio.to_thread(gateway.books) == {}
    assert bill(sandbox)["total_nanousd"] == 0


async def test_a_client_that_leaves_mid_stream_ends_the_call_within_100_ms_and_is_billed_what_was_written(
    start_gateway: Start,
) -> None:
    settings = sandbox_settings()
    slow = settings.models[1].model_copy(update={"tokens_per_second": 40.0})
    with serve_in_thread(settings.model_copy(update={"models": (settings.models[0], slow)})) as sandbox:
        gateway = start_gateway(backends=cloud(sandbox.url), aliases=cloud_aliases())
        delays = []
        async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:
            await ask(client, "base-converse", "warm", stream=True, most=3)
            for cancelled in range(1, 6):
                stream = await client.chat.completions.create(
                    model="base-converse", messages=[{"role": "user", "content": "hi"}], max_tokens=100, stream=True
                )
                read = aiter(stream)
                for _ in range(6):
                    await anext(read)
                left_at = time.time()
                await stream.close()
                while (state := httpx.get(sandbox.url + "/_sandbox/state").json())["cancelled"] < cancelled:
                    assert time.time() < left_at + 5
                    await asyncio.sleep(0.01)
                delays.append(state["last_cancel_unix_seconds"] - left_at)
                assert state["in_flight"] == 0
        assert sorted(delays)[2] < 0.1, delays
        books, billed = await asyncio.to_thread(gateway.books), bill(sandbox)
        entry = billed["models"][FOUNDATION]
        assert entry["cancelled"]["calls"] == 5
        assert 5 * 4 <= entry["cancelled"]["output_tokens"] <= 5 * 10
        written = entry["cancelled"]["output_tokens"] + entry["completed"]["output_tokens"]
        assert abs(books["bedrock-base"]["output_tokens"] - written) <= 5  # the last event may not have arrived
        assert books["bedrock-base"]["unsure_tokens"] > 0


async def test_a_call_that_was_left_before_its_answer_came_has_opened_its_window_all_the_same(
    start_gateway: Start,
) -> None:
    settings = sandbox_settings(tokens_per_second=20, cold_start_seconds=0)
    with serve_in_thread(settings) as sandbox:
        gateway = start(start_gateway, sandbox)
        async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:
            asking = asyncio.create_task(ask(client, "cmi-chat", "hi", stream=False, most=100))
            await asyncio.sleep(1.5)
            asking.cancel()
        await asyncio.sleep(0.3)
        books, billed = await asyncio.to_thread(agreed, gateway, sandbox)
        assert billed["models"][IMPORTED]["cancelled"]["calls"] == 1
        assert books["cmi"]["windows"] == len(billed["models"][IMPORTED]["windows"]) == 1
        assert books["cmi"]["nanousd"] == billed["models"][IMPORTED]["total_nanousd"]
        assert books["cmi"]["unsure_tokens"] > 0


async def test_a_cold_start_is_waited_for_no_longer_than_the_ceiling_where_another_backend_can_serve(
    start_gateway: Start,
) -> None:
    with serve_in_thread(sandbox_settings(cold_start_seconds=2000)) as sandbox:
        backends = cloud(sandbox.url)
        served = [
            {"backend": "cmi", "model": IMPORTED},
            {"backend": "bedrock-base", "model": FOUNDATION, "body": "meta"},
        ]
        # The policy calls it free and always there, so that it is asked first; its cold start takes 20 s.
        backends["cmi"]["cost"] = {"kind": "per_token", "input_usd_per_1m": 0, "output_usd_per_1m": 0}
        aliases = {"tuned": {"ceiling": {"ttft_seconds": 1.5}, "served_by": served}}
        gateway = start_gateway(backends=backends, aliases=aliases)
        async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:
            began = time.monotonic()
            response = await client.chat.completions.with_raw_response.create(
                model="tuned", messages=[{"role": "user", "content": "hi"}], max_tokens=5
            )
        assert response.headers["x-crossover-backend"] == "bedrock-base"
        assert response.headers["x-crossover-reason"] == "fallback"
        assert time.monotonic() - began < 15
