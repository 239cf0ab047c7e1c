"""A cold imported model is waited for, as long as the request's own deadline allows."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from gateway.backends.bedrock.cold_start import ColdStart, cold_start_of
from gateway.backends.errors import Fault, UpstreamError
from tests.backends.bedrock.conftest import Start, backend_settings
from tests.backends.bedrock.requests import IMPORTED, request, say
from tests.backends.bedrock.test_backend import billed, failure, until
from tests.backends.sinks import text_of


def window(cold_start_seconds: float) -> dict[str, Any]:
    return {"cost": {"kind": "window", "usd_per_unit_minute": "0.05718", "cold_start_seconds": cold_start_seconds}}


@pytest.mark.parametrize(
    ("expected_seconds", "poll_seconds"),
    [(None, 10.0), (0.0, 0.1), (0.3, 0.1), (6.0, 1.0), (60.0, 10.0), (300.0, 10.0)],
)
def test_a_cold_model_is_asked_six_times_in_its_usual_cold_start(
    expected_seconds: float | None, poll_seconds: float
) -> None:
    assert ColdStart(expected_seconds).poll_seconds == poll_seconds


def test_the_policy_s_window_says_how_long_a_cold_start_is() -> None:
    assert cold_start_of(backend_settings("http://127.0.0.1:1", window(42.0))).expected_seconds == 42.0
    assert cold_start_of(backend_settings("http://127.0.0.1:1", {})).expected_seconds is None


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_cold_model_is_waited_for_and_the_call_that_succeeded_is_the_one_admitted(
    start: Start, stream: bool
) -> None:
    async with start(model={"cold_start_seconds": 0.5}, backend=window(0.6)) as (backend, served):
        asked_at = time.monotonic()
        one = request(say("hi", max_tokens=4), model=IMPORTED, body="openai-chat", stream=stream)
        reply = await backend.send(one)
        assert await text_of(reply)
        assert reply.admitted_at - asked_at >= 0.5
        assert billed(served) == [reply.usage]
        refused = served.sandbox.state()["models"][IMPORTED]["outcomes"]["ModelNotReadyException"]
        assert refused >= 2, "it was asked again while it was restored"


async def test_a_request_that_cannot_wait_is_told_so_before_its_deadline(start: Start) -> None:
    async with start(model={"cold_start_seconds": 60}, backend=window(60)) as (backend, served):
        one = request(say("hi"), model=IMPORTED, body="meta", deadline_seconds=5)  # the next poll would be at 10 s
        error = await failure(backend, one)
        assert time.monotonic() < one.first_byte_deadline
        assert (error.status, error.fault, error.code) == (503, Fault.COLD, "model_not_ready")
        assert error.retry_after_seconds is not None
        assert 50 < error.retry_after_seconds <= 60
        assert billed(served) == []


async def test_a_model_that_is_restored_while_the_call_is_held_is_waited_for_too(start: Start) -> None:
    cold = {"cold_start_seconds": 0.3, "blocking_wait_seconds": 10}
    async with start(model=cold, backend=window(60)) as (backend, served):
        reply = await backend.send(request(say("hi", max_tokens=4), model=IMPORTED, body="meta", stream=True))
        await text_of(reply)
        assert billed(served) == [reply.usage]


async def test_a_hung_first_call_is_a_timeout_at_the_deadline_and_its_connection_is_closed(start: Start) -> None:
    async with start(faults=[{"kind": "hang"}]) as (backend, served):
        error = await failure(backend, request(say("hi"), model=IMPORTED, body="meta", deadline_seconds=0.2))
        assert (error.status, error.code, error.fault) == (504, "backend_timeout", Fault.UPSTREAM)
        await until(lambda: served.sandbox.open_connections == 0)


async def test_the_backend_s_own_patience_ends_a_hung_call_before_a_late_deadline(start: Start) -> None:
    patience = {"timeouts": {"first_byte_seconds": 0.2}}
    async with start(faults=[{"kind": "hang"}], backend=patience) as (backend, _):
        one = request(say("hi"), model=IMPORTED, body="openai-chat", stream=True, deadline_seconds=60)
        error = await failure(backend, one)
        assert error.code == "backend_timeout"
        assert "0.2 s" in error.message


async def test_a_held_call_of_a_model_that_said_it_is_cold_counts_as_cold(start: Start) -> None:
    async with start(faults=[{"kind": "not_ready"}, {"kind": "hang"}], backend=window(0.6)) as (backend, _):
        error = await failure(backend, request(say("hi"), model=IMPORTED, body="meta", deadline_seconds=0.5))
        assert error.fault is Fault.COLD


async def test_the_wait_for_a_cold_model_can_be_cancelled(start: Start) -> None:
    async with start(model={"cold_start_seconds": 60}, backend=window(0.6)) as (backend, served):
        sending = asyncio.create_task(backend.send(request(say("hi"), model=IMPORTED, body="meta")))
        await until(lambda: served.sandbox.state()["models"][IMPORTED]["outcomes"].get("ModelNotReadyException"))
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_other_refusals_are_not_waited_out(start: Start) -> None:
    async with start(faults=[{"kind": "throttle"}], backend=window(0.6)) as (backend, _):
        with pytest.raises(UpstreamError) as caught:
            await backend.send(request(say("hi"), model=IMPORTED, body="meta"))
        assert caught.value.fault is Fault.CAPACITY
