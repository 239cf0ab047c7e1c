"""An imported model's life over the wire: cold starts, copies, queues, idleness."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.sandbox.bedrock.conftest import ARN, Running

Start = Callable[..., Running]


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something that is about to happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_a_cold_model_is_not_ready_then_serves(start: Start) -> None:
    running = start()
    assert running.state(ARN)["state"] == "cold"
    for _ in range(2):
        with pytest.raises(running.client.exceptions.ModelNotReadyException) as caught:
            running.chat()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
        assert running.state(ARN)["state"] == "restoring"
    running.advance(60)
    assert running.state(ARN)["state"] == "warm"
    assert running.chat(max_tokens=2)["usage"]["completion_tokens"] == 2
    assert running.state(ARN)["copies_started"] == 1


def test_a_cold_start_may_block_instead(start: Start) -> None:
    running = start(imported={"cold_start_seconds": 60, "blocking_wait_seconds": 300}, time_scale=600)
    assert running.chat(max_tokens=2)["usage"]["completion_tokens"] == 2


def test_blocking_ends_as_soon_as_the_clock_says_so(start: Start) -> None:
    running = start(imported={"blocking_wait_seconds": 300})
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(running.chat, max_tokens=2)
        until(lambda: running.state(ARN)["queued"] == 1)
        running.advance(60)
        assert answer.result(timeout=10)["usage"]["completion_tokens"] == 2


def test_blocking_longer_than_allowed_is_not_ready(start: Start) -> None:
    running = start(imported={"blocking_wait_seconds": 30}, time_scale=1000)
    with pytest.raises(running.client.exceptions.ModelNotReadyException):
        running.chat()


def test_an_idle_model_goes_cold(start: Start) -> None:
    running = start(imported={"cold_start_seconds": 0})
    running.chat(max_tokens=1)
    running.advance(290)
    assert running.state(ARN)["state"] == "warm"
    running.chat(max_tokens=1)
    running.advance(290)
    assert running.state(ARN)["state"] == "warm"
    running.advance(11)
    assert running.state(ARN)["state"] == "cold"
    assert len(running.bill(ARN)["windows"]) == 2


def test_queued_calls_start_a_second_copy_and_both_are_billed(start: Start) -> None:
    running = start(
        imported={"cold_start_seconds": 60, "concurrency_per_copy": 1, "max_copies": 2, "tokens_per_second": 20}
    )
    with pytest.raises(running.client.exceptions.ModelNotReadyException):
        running.chat()
    running.advance(60)
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(running.chat, max_tokens=40, ignore_eos=True) for _ in range(2)]
        until(lambda: running.state(ARN)["queued"] == 1)
        states = [copy["state"] for copy in running.state(ARN)["copies"]]
        assert states == ["busy", "restoring"]
        running.advance(60)
        until(lambda: [copy["in_flight"] for copy in running.state(ARN)["copies"]] == [1, 1])
        assert [answer.result()["usage"]["completion_tokens"] for answer in answers] == [40, 40]
    bill = running.bill(ARN)
    assert [window["copy"] for window in bill["windows"]] == [1, 2]
    assert sorted(call["copy"] for call in bill["calls"]) == [1, 2]


def test_a_queue_that_is_full_throttles(start: Start) -> None:
    running = start(
        imported={
            "cold_start_seconds": 0,
            "concurrency_per_copy": 1,
            "max_copies": 1,
            "max_queued": 0,
            "tokens_per_second": 20,
        }
    )
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(running.chat, max_tokens=20, ignore_eos=True)
        until(lambda: running.state(ARN)["in_flight"] == 1)
        with pytest.raises(running.client.exceptions.ThrottlingException):
            running.chat()
        answer.result()


def test_a_queued_call_takes_the_place_that_gets_free(start: Start) -> None:
    running = start(
        imported={"cold_start_seconds": 0, "concurrency_per_copy": 1, "max_copies": 1, "tokens_per_second": 200}
    )
    together = threading.Barrier(3)

    def call(_: int) -> int:
        together.wait()
        return running.chat(max_tokens=20, ignore_eos=True)["usage"]["completion_tokens"]

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(call, range(3))) == [20, 20, 20]
    assert running.state(ARN)["copies_started"] == 1
    assert len(running.bill(ARN)["windows"]) == 1
