"""10,000 mixed requests, every fifth with a fault of the backend's or of the client's: the books are held against what
the upstream counted itself, attempt by attempt and to the token, and nothing is left open.

What is booked, by how an attempt ended:
- whole: what the backend's usage said, exact.
- broken off in the middle: one output token for each event with content that was passed on; the prompt from its bytes,
  by what whole answers have taught; estimated.
- sent, and nothing was passed on: the prompt alone, estimated, for it may have been read.
- refused by the backend in so many words: nothing."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.gateway_process import GatewayProcess
from tests.server.faults.books import (
    Attempt,
    Operation,
    attempts,
    by_label,
    nothing_left,
    operations,
    sockets,
    until,
)
from tests.server.faults.client import Client, Seen, request
from tests.server.faults.upstream import BEFORE, MID_STREAM, REFUSALS, Sent, Upstream, counting_upstream, message
from tests.server.fleets import box, metered
from tests.server.in_process import gateway_in_process

Start = Callable[..., GatewayProcess]
ALIASES = [f"m{number}" for number in range(16)]
BACKENDS = tuple(f"{place}-{alias}" for alias in ALIASES for place in ("box", "cloud", "far"))
"""Three for each alias: so many that those who are left alone, since they failed, do not empty the house."""
AT_ONCE = 48
SLOW = {"hangs": 30, "stalls": 15}
"""These hold a place for seconds: so few of 10,000."""
DOOR = ("leaves early", "leaves midway", "no json", "no such model", "no key", "bad header")
"""Faults of clients."""
TIMEOUTS = {"connect_seconds": 5, "first_byte_seconds": 5, "stall_seconds": 5}


@dataclass
class Plan:
    """One request. `fault`: of its client, or of the first backend that is asked."""

    number: int
    stream: bool
    fault: str
    size: int

    @property
    def alias(self) -> str:
        return ALIASES[self.number % len(ALIASES)]

    def way(self, attempt: int) -> str:
        """How a backend answers it."""
        if self.fault.startswith("leaves"):
            return "hangs" if self.fault == "leaves early" and self.number % 2 else "slowly"
        return self.fault if attempt == 1 or (attempt == 2 and self.number % 10 == 0) else "good"


def plans_of(count: int, seed: int) -> list[Plan]:
    """A fifth has a fault."""
    chance = random.Random(seed)
    quick = [name for name in (*BEFORE, *MID_STREAM, *DOOR) if name not in SLOW]
    faults = [name for name, often in SLOW.items() for _ in range(often * count // 10_000 or 1)]
    faults += chance.choices(quick, k=count // 5 - len(faults))
    faults += ["good"] * (count - len(faults))
    chance.shuffle(faults)
    streamed = {"leaves midway", "huge line", *MID_STREAM}
    return [
        Plan(number, fault in streamed or chance.random() < 0.6, fault, chance.randrange(20, 2000))
        for number, fault in enumerate(faults, 1)
    ]


async def carry_out(plan: Plan, client: Client) -> Seen:
    body: dict[str, Any] = {"model": plan.alias, "stream": plan.stream, "messages": message(plan.number, plan.size)}
    match plan.fault:
        case "no json":
            return await client.ask(request(b"{"))
        case "no such model":
            return await client.ask(request(body | {"model": "other"}))
        case "no key":
            return await client.ask(request(body, key="wrong"))
        case "bad header":
            return await client.ask(request(body, "x-crossover-max-ttft-ms: soon\r\n"))
        case "leaves early":
            await client.send(request(body))
            await asyncio.sleep(0.01 * (plan.number % 3))
            client.close()
            return Seen()
        case "leaves midway":
            return await client.ask(request(body), leave_after_words=1 + plan.number % 5)
    return await client.ask(request(body))


async def storm(root: str, plans: list[Plan]) -> list[Seen]:
    """All of them, AT_ONCE at a time on as many connections. In the order of `plans`."""
    seen: list[Seen] = [Seen()] * len(plans)
    todo = iter(enumerate(plans))

    async def worker() -> None:
        async with Client(root) as client:
            for place, plan in todo:
                seen[place] = await carry_out(plan, client)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return seen


def policy_for(upstream: Upstream) -> dict[str, Any]:
    urls = upstream.urls
    return {
        "backends": {
            name: (box if name.startswith("box") else metered)(url, timeouts=TIMEOUTS) for name, url in urls.items()
        },
        "aliases": {
            alias: {"served_by": [{"backend": name, "model": "m"} for name in urls if name.endswith("-" + alias)]}
            for alias in ALIASES
        },
        "routing": {"max_attempts": 3},
    }


def check_attempt(sent: Sent, booked: Attempt, plan: Plan, seen: Seen, *, last: bool) -> None:
    """One attempt: what was booked against what was sent."""
    assert booked.backend == sent.backend
    tokens = booked.input_tokens, booked.output_tokens
    if sent.whole and (booked.outcome == "ok" or not plan.fault.startswith("leaves")):
        assert (booked.outcome, booked.certainty) == ("ok", "exact")
        assert tokens == (sent.input_tokens, sent.output_tokens)
        return
    if sent.way in REFUSALS:
        assert tokens == (0, 0)
        assert booked.outcome == ("client_error" if sent.way == "400" else "upstream_error")
        return
    assert booked.certainty == "estimated" or tokens == (0, 0) or sent.whole
    if booked.certainty == "estimated":
        assert abs(booked.input_tokens - sent.input_tokens) <= max(6, 0.25 * sent.input_tokens)
    if plan.fault.startswith("leaves"):
        assert booked.outcome == "cancelled"
        assert seen.words <= booked.output_tokens <= max(sent.events, sent.output_tokens)
        return
    assert booked.outcome == ("timeout" if sent.way in SLOW else "upstream_error")
    if sent.events and last and seen.status == 200:
        assert booked.output_tokens == seen.words
        assert sent.way == "reset" or seen.words == sent.events  # a reset may overtake what was sent before it
    else:  # it broke before anything was passed on
        assert booked.output_tokens <= sent.events


def check_operation(plan: Plan, seen: Seen, op: Operation, tried: list[Attempt]) -> None:
    """One request: what its client saw against what was booked for it."""
    assert op.attempts == len(tried)
    assert [attempt.number for attempt in tried] == list(range(1, len(tried) + 1))
    if plan.fault.startswith("leaves"):
        assert op.outcome == "cancelled" or (plan.fault == "leaves early" and op.outcome == "ok")  # it left too late
        return
    assert tried
    last = tried[-1]
    assert (op.outcome, op.backend) == (last.outcome, last.backend)
    assert op[5:8] == last[5:8]  # its tokens, and how sure they are
    assert seen.ended
    if op.outcome == "ok":
        assert seen.status == 200
        assert seen.error is None
        assert seen.done is plan.stream
    else:
        assert seen.error is not None
        assert (seen.status == 200) == (plan.fault in MID_STREAM and seen.words > 0)


@dataclass
class Account:
    """What is left to look at after every request was held against the books."""

    attempts: list[Attempt]
    operations: list[Operation]
    failovers: int


def check(plans: list[Plan], seen: list[Seen], upstream: Upstream, ledger: Path) -> Account:
    tried: dict[str, list[Attempt]] = {}
    for attempt in attempts(ledger):
        tried.setdefault(attempt.operation_id, []).append(attempt)
    ops = {op.id: op for op in operations(ledger)}
    number_of = {}
    for plan, saw in zip(plans, seen, strict=True):
        if saw.operation:
            number_of[saw.operation] = plan.number
    by_number = {plan.number: (plan, saw) for plan, saw in zip(plans, seen, strict=True)}
    for id in set(tried) - set(upstream.by_operation):  # its client left while the connection was being made
        assert [(a.outcome, a.output_tokens) for a in tried[id]] == [("cancelled", 0)]
    for id, sent in upstream.by_operation.items():
        plan, saw = by_number[sent[0].number]
        assert number_of.get(id, plan.number) == plan.number
        assert len(sent) == len(tried[id]), (plan, sent, tried[id])
        for there, booked in zip(sent, tried[id], strict=True):
            try:
                check_attempt(there, booked, plan, saw, last=booked is tried[id][-1])
            except AssertionError as error:
                raise AssertionError(f"{plan}: sent {there}, booked {booked}, seen {saw}") from error
        check_operation(plan, saw, ops[id], tried[id])
    all_attempts = [attempt for each in tried.values() for attempt in each]
    return Account(all_attempts, list(ops.values()), sum(attempt.number > 1 for attempt in all_attempts))


def check_series(page: str, account: Account) -> None:
    """The series say what the ledger says."""
    booked = account.attempts
    assert by_label(page, "crossover_attempts_total", "outcome") == Counter(a.outcome for a in booked)
    assert by_label(page, "crossover_attempts_total", "backend") == Counter(a.backend for a in booked)
    tokens = {"input": sum(a.input_tokens for a in booked), "output": sum(a.output_tokens for a in booked)}
    assert by_label(page, "crossover_tokens_total", "token_type") == tokens
    fallbacks = by_label(page, "crossover_route_decisions_total", "reason")["fallback"]
    assert fallbacks == account.failovers


def check_outcomes(page: str, plans: list[Plan], seen: list[Seen]) -> None:
    """Each request is counted once, with what its client saw; and the most of them were served."""
    outcomes = by_label(page, "crossover_requests_total", "outcome")
    assert sum(outcomes.values()) == len(plans)
    served = sum(saw.status == 200 and saw.error is None and saw.ended for saw in seen)
    assert served <= outcomes["ok"] <= served + sum(saw.status == 0 for saw in seen)
    assert outcomes["ok"] > 0.8 * len(plans)
    assert outcomes["client_error"] == sum(saw.status in (400, 401, 404) for saw in seen)
    assert outcomes["cancelled"] + outcomes["ok"] >= served + sum(saw.status == 0 for saw in seen)


@pytest.mark.timeout(180)
async def test_10_000_mixed_requests_are_booked_to_the_token_and_leave_nothing_open(start_gateway: Start) -> None:
    plans = plans_of(10_000, seed=7)
    async with counting_upstream(lambda number, attempt: plans[number - 1].way(attempt), BACKENDS) as upstream:
        gateway = start_gateway(**policy_for(upstream))
        sockets_before = sockets(gateway.process.pid)
        seen = await storm(gateway.root, plans)
        await nothing_left(gateway, sockets_before)
        assert upstream.open == 0
        await until(lambda: len(operations(gateway.ledger)) >= len(upstream.by_operation), "not all is booked")
        account = check(plans, seen, upstream, gateway.ledger)
        page = await asyncio.to_thread(gateway.metrics)
        check_series(page, account)
        check_outcomes(page, plans, seen)
        assert '"level":"error"' not in gateway.log()


async def test_no_task_is_left_of_500_mixed_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = plans_of(500, seed=11)
    async with (
        counting_upstream(lambda number, attempt: plans[number - 1].way(attempt), BACKENDS) as upstream,
        gateway_in_process(policy_for(upstream), tmp_path, monkeypatch) as gateway,
    ):
        tasks = asyncio.all_tasks()
        seen = await storm(gateway.root, plans)
        trackers = gateway.core.fleet.trackers.values()
        await until(lambda: not any(tracker.in_flight for tracker in trackers), "requests are still in flight")
        await until(lambda: upstream.open == 0, "connections to the upstream are still open")
        for _ in range(100):
            left = asyncio.all_tasks() - tasks
            if not left:
                break
            await asyncio.sleep(0.05)
        assert not left
        assert gateway.core.ledger is not None
        assert await asyncio.to_thread(gateway.core.ledger.flush)
        check(plans, seen, upstream, tmp_path / "ledger.sqlite3")
