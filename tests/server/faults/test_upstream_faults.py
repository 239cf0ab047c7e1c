"""One row of docs/faults.md a test: what the client saw, what was booked, whether the circuit opened, what is left.


That another backend answers instead, where there is one, is in tests/server/test_failover.py."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.server.faults.books import attempts, operations, sockets, until
from tests.server.faults.client import Client, Seen, request
from tests.server.faults.upstream import counting_upstream, message, prompt_tokens
from tests.server.fleets import one
from tests.server.in_process import gateway_in_process

PATIENT = {"first_byte_seconds": 30, "stall_seconds": 30}
TIMEOUTS = {"hangs": PATIENT | {"first_byte_seconds": 0.4}, "stalls": PATIENT | {"stall_seconds": 0.4}}
"""Short only where they are what is looked at: a busy machine must not make others of them."""
TIMES = 3
"""So many failures in a row open a circuit."""


@dataclass
class Row:
    way: str
    streamed: bool
    status: int
    """What the client saw; 200: the error came as the last event of its stream."""
    code: str | None
    outcome: str = "upstream_error"
    certainty: str = "estimated"
    words: int = 0
    """Passed on before it broke; as many output tokens are booked."""
    opens: bool = True
    """The backend's own fault: three of them open its circuit."""

    def __str__(self) -> str:
        return f"{self.way}{', streamed' if self.streamed else ''}"


UNREACHABLE, TIMEOUT, GARBAGE = "backend_unreachable", "backend_timeout", "backend_garbage"
ROWS = [
    *(
        row
        for streamed in (False, True)
        for row in (
            Row("refuses", streamed, 502, UNREACHABLE, certainty="missing"),
            Row("hangs", streamed, 504, TIMEOUT, "timeout"),
            Row("closes", streamed, 502, UNREACHABLE),
            Row("resets", streamed, 502, UNREACHABLE),
            Row("half a head", streamed, 502, UNREACHABLE),
            Row("no http", streamed, 502, GARBAGE),
            Row("wrong type", streamed, 502, UNREACHABLE if streamed else GARBAGE),
            Row("500 html", streamed, 502, None, certainty="missing"),
            Row("503", streamed, 503, None, certainty="missing"),
            Row("401", streamed, 502, "backend_refused", certainty="missing"),
            Row("429", streamed, 429, None, certainty="missing", opens=False),
            Row("400", streamed, 400, None, "client_error", certainty="missing", opens=False),
        )
    ),
    Row("cut", False, 502, UNREACHABLE),
    Row("huge line", True, 502, GARBAGE),
    Row("cut", True, 200, UNREACHABLE, words=2),
    Row("reset", True, 200, UNREACHABLE, words=2),
    Row("half a chunk", True, 200, UNREACHABLE, words=2),
    Row("no [DONE]", True, 200, UNREACHABLE, words=2),
    Row("says error", True, 200, None, words=2),
    Row("stalls", True, 200, TIMEOUT, "timeout", words=2),
]


def closed_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


async def ask(root: str, row: Row) -> Seen:
    body = {"model": "tuned", "stream": row.streamed, "messages": message(1, 400)}  # number 1: two words
    async with Client(root) as client:
        return await client.ask(request(body))


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_what_the_client_sees_and_what_is_booked(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets_before = sockets(os.getpid())
    async with counting_upstream(lambda number, attempt: row.way, ("box",)) as upstream:
        url = closed_port() if row.way == "refuses" else upstream.urls["box"]
        async with gateway_in_process(
            one(url, timeouts=TIMEOUTS.get(row.way, PATIENT)), tmp_path, monkeypatch
        ) as gateway:
            for seen in await asyncio.gather(*(ask(gateway.root, row) for _ in range(TIMES))):
                assert seen.status == row.status
                assert seen.ended
                assert seen.error is not None
                assert seen.error["message"]
                assert seen.error["code"] == row.code
                assert seen.words == row.words
                assert ("retry-after" in seen.headers) == (row.way == "429")

            ledger = tmp_path / "ledger.sqlite3"
            await until(lambda: len(operations(ledger)) == TIMES, "not all is booked")
            prompt = prompt_tokens(message(1, 400)) if row.certainty == "estimated" else 0
            for attempt, operation in zip(attempts(ledger), operations(ledger), strict=True):
                assert (attempt.outcome, attempt.certainty) == (row.outcome, row.certainty)
                assert abs(attempt.input_tokens - prompt) <= 6
                assert attempt.output_tokens == row.words
                assert operation.outcome == row.outcome
                assert operation.attempts == 1
                assert operation[5:8] == attempt[5:8]

            tracker = gateway.core.fleet.trackers["box"]
            assert tracker.in_flight == 0
            assert tracker.circuit_open(gateway.core.clock()) is row.opens
            asked = len(upstream.by_operation)
            last = await ask(gateway.root, row)
            if row.opens or row.way == "429":
                assert last.status == 503
                assert len(upstream.by_operation) == asked
            else:
                assert len(upstream.by_operation) == asked + 1
    await until(lambda: upstream.open == 0, "connections to the upstream are left")
    await until(lambda: sockets(os.getpid()) <= sockets_before, "sockets are left")
