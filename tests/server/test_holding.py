"""A request that the router holds waits at the gateway, is asked about again, and is answered as any other."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import openai
import pytest
from msgspec import structs

from gateway.metering.ledger import reading
from gateway.routing.decision import Decision, Refusal
from gateway.routing.facts import RequestFacts
from tests.scripted_peer import Connection, answer, scripted_peer
from tests.server.fleets import box, one, two
from tests.server.in_process import Running, gateway_in_process, hold

MESSAGES: Any = [{"role": "user", "content": "hi"}]


async def ask(gateway: Running, **how: Any) -> Any:
    async with gateway.client() as client:
        return await client.chat.completions.with_raw_response.create(model="tuned", messages=MESSAGES, **how)


def operations(folder: Path) -> list[dict[str, Any]]:
    with reading(folder / "ledger.sqlite3") as connection:
        return [dict(row) for row in connection.execute("SELECT * FROM operations ORDER BY started_at")]


@pytest.mark.parametrize("stream", [False, True])
async def test_it_waits_is_asked_about_again_and_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    async with (
        scripted_peer(answer("at last")) as peer,
        gateway_in_process(one(peer.url), tmp_path, monkeypatch, hold(0.1, 0.35)) as gateway,
    ):
        began = time.monotonic()
        answered = await ask(gateway, stream=stream)
        if stream:
            assert [c.choices[0].delta.content async for c in answered.parse()] == ["at", "last"]
        assert time.monotonic() - began >= 0.35
        assert answered.headers["x-crossover-reason"] == "only_choice"
        assert len(peer.requests) == 1
        noted = gateway.router.noted
        assert [facts.asked_before for facts, _ in noted] == [False] + [True] * (len(noted) - 1)
        assert len(noted) >= 4
        elapsed = [facts.elapsed_seconds for facts, _ in noted]
        assert elapsed == sorted(elapsed)
        assert gateway.metric("crossover_hold_seconds_count") == 1
        assert gateway.metric("crossover_held_requests") == 0
        await asyncio.to_thread(gateway.core.ledger.flush)  # type: ignore[union-attr]
        (row,) = operations(tmp_path)
        assert 0.35 <= row["held_seconds"] <= row["seconds"]
        assert row["outcome"] == "ok"


async def test_a_client_that_leaves_ends_its_hold_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        scripted_peer() as peer,
        gateway_in_process(one(peer.url), tmp_path, monkeypatch, hold(60.0, 1e9)) as gateway,
    ):
        asking = asyncio.create_task(ask(gateway))
        await until(lambda: gateway.metric("crossover_held_requests") == 1)
        asking.cancel()
        await until(lambda: gateway.metric("crossover_held_requests") == 0)
        await asyncio.to_thread(gateway.core.ledger.flush)  # type: ignore[union-attr]
        (row,) = operations(tmp_path)
        assert (row["outcome"], row["attempts"]) == ("cancelled", 0)
        assert peer.requests == []
        assert gateway.router.verdicts == []


async def test_beyond_the_most_that_may_be_held_a_request_is_sent_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted_peer(answer("now")) as peer:
        settings = {**one(peer.url), "routing": {"max_held": 2}}
        async with gateway_in_process(settings, tmp_path, monkeypatch, hold(60.0, 1e9)) as gateway:
            waiting = [asyncio.create_task(ask(gateway)) for _ in range(2)]
            await until(lambda: gateway.metric("crossover_held_requests") == 2)
            answered = await ask(gateway)
            assert answered.parse().choices[0].message.content == "now"
            assert gateway.metric("crossover_held_requests") == 2
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


async def test_when_the_gateway_ends_whoever_waits_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        scripted_peer(answer("before closing")) as peer,
        gateway_in_process(one(peer.url), tmp_path, monkeypatch, hold(60.0, 1e9)) as gateway,
    ):
        asking = asyncio.create_task(ask(gateway))
        await until(lambda: gateway.metric("crossover_held_requests") == 1)
        gateway.core.draining = True
        gateway.core.holds.end()
        answered = await asking
        assert answered.parse().choices[0].message.content == "before closing"
        assert gateway.router.noted[-1][0].may_hold is False


async def test_a_gateway_that_is_told_to_end_lets_go_of_whoever_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        scripted_peer(answer("before closing")) as peer,
        gateway_in_process(one(peer.url), tmp_path, monkeypatch, hold(60.0, 1e9)) as gateway,
    ):
        asking = asyncio.create_task(ask(gateway))
        await until(lambda: gateway.metric("crossover_held_requests") == 1)
        ending = asyncio.create_task(gateway.gateway.end(10))
        answered = await asyncio.wait_for(asking, 10)
        assert answered.parse().choices[0].message.content == "before closing"
        await ending


async def test_the_verdict_is_told_once_and_says_late_wrong_or_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(connection: Connection) -> None:
        await asyncio.sleep(0.3)
        await answer("so late")(connection)

    async with scripted_peer(answer("in time")) as quick, scripted_peer(slow) as late:
        settings = two(quick.url, late.url)
        settings["aliases"] = {
            "tuned": {
                "needs": "tuned",
                "served_by": [
                    {"backend": "box", "model": "m1"},
                    {"backend": "cloud", "model": "m2", "quality": "base"},
                ],
            }
        }
        async with gateway_in_process(settings, tmp_path, monkeypatch) as gateway:
            await ask(gateway, extra_headers={"x-crossover-max-latency-ms": "20000"})
            assert gateway.router.verdicts == [False]
            quick.script = slow
            with pytest.raises(openai.InternalServerError, match="250 ms"):
                await ask(gateway, extra_headers={"x-crossover-max-latency-ms": "250"})
            assert gateway.router.verdicts == [False, True]

            def sent_below(facts: RequestFacts, decision: Decision) -> Decision:
                base = next(c for c in decision.candidates if c.backend == "cloud")
                return Decision((base,), decision.candidates, "lower_quality_though_wrong")

            gateway.router.order = sent_below  # type: ignore[method-assign]
            late.script = answer("in time, and below")
            answered = await ask(gateway)
            assert answered.headers["x-crossover-reason"] == "lower_quality_though_wrong"
            assert answered.headers["x-crossover-backend"] == "cloud"
            assert gateway.router.verdicts == [False, True, True]
            reason = {"backend": "cloud", "reason": "lower_quality_though_wrong"}
            assert gateway.metric("crossover_route_decisions_total", **reason) == 1


async def test_turned_away_for_lack_of_time_is_bad_and_a_clients_mistake_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def turn_away(facts: RequestFacts, decision: Decision) -> Decision:
        return Decision((), decision.candidates, "none", Refusal(429, "rate_limit_error", "latency_ceiling", "no"))

    async with scripted_peer() as peer, gateway_in_process(one(peer.url), tmp_path, monkeypatch) as gateway:
        gateway.router.order = turn_away  # type: ignore[method-assign]
        with pytest.raises(openai.RateLimitError):
            await ask(gateway)
        assert gateway.router.verdicts == [True]
        with pytest.raises(openai.BadRequestError):
            await ask(gateway, temperature=0, extra_body={"max_tokens": "many"})
        assert gateway.router.verdicts == [True]


async def test_what_may_not_wait_and_has_nobody_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_hold(facts: RequestFacts, decision: Decision) -> Decision:
        return structs.replace(decision, order=(), reason="held", hold_seconds=60.0)

    async with scripted_peer() as peer:
        settings = {"backends": {"box": box(peer.url)}, "aliases": one(peer.url)["aliases"], "routing": {"max_held": 0}}
        async with gateway_in_process(settings, tmp_path, monkeypatch, only_hold) as gateway:
            with pytest.raises(openai.InternalServerError) as raised:
                await ask(gateway)
            assert raised.value.code == "no_backend_available"


async def until(true: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
