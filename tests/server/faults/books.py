"""What was booked, and what is left open: the gateway's ledger, its series and its sockets, from outside."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from gateway.metering.ledger import reading
from tests.gateway_process import GatewayProcess


class Attempt(NamedTuple):
    operation_id: str
    number: int
    backend: str
    outcome: str
    status: int
    input_tokens: int
    output_tokens: int
    certainty: str


class Operation(NamedTuple):
    id: str
    backend: str | None
    outcome: str
    status: int
    attempts: int
    input_tokens: int
    output_tokens: int
    certainty: str
    verdict: str | None


def attempts(ledger: Path) -> list[Attempt]:
    return [Attempt(*row) for row in _rows(ledger, f"SELECT {','.join(Attempt._fields)} FROM attempts ORDER BY 1, 2")]


def operations(ledger: Path) -> list[Operation]:
    return [
        Operation(*row) for row in _rows(ledger, f"SELECT {','.join(Operation._fields)} FROM operations ORDER BY 1")
    ]


def _rows(ledger: Path, query: str) -> list[sqlite3.Row]:
    with reading(ledger) as connection:
        return connection.execute(query).fetchall()


async def until(true: Callable[[], Any], what: str, seconds: float = 20.0) -> None:
    """Waits for it. Blocking looks go to a thread: the peers of the gateway may live in this loop."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await asyncio.to_thread(true):
        assert loop.time() < deadline, what
        await asyncio.sleep(0.02)


async def operation(gateway: GatewayProcess, id: str) -> Operation:
    """Waits until it is booked."""
    found: list[Operation] = []

    def there() -> bool:
        found[:] = [one for one in operations(gateway.ledger) if one.id == id]
        return bool(found)

    await until(there, f"the operation {id} is not booked")
    return found[0]


def sockets(pid: int) -> int:
    """Open sockets of a process."""
    count = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            count += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
        except FileNotFoundError:
            pass
    return count


def memory_mb(pid: int) -> float:
    """Resident now."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def forget_peak(pid: int) -> None:
    """From now on the peak is counted anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_memory_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024


def by_label(page: str, series: str, label: str) -> Counter[str]:
    """Sums of a family over all its series, by one label. What is 0 is left out."""
    sums: Counter[str] = Counter()
    for line in page.splitlines():
        if line.startswith(series + "{"):
            found = re.search(rf'{label}="([^"]*)"', line)
            assert found is not None
            sums[found[1]] += round(float(line.rpartition(" ")[2]))
    return +sums


async def nothing_left(gateway: GatewayProcess, sockets_before: int) -> None:
    """No request under way, and no socket more than before."""
    pid = gateway.process.pid
    await until(
        lambda: not by_label(gateway.metrics(), "crossover_inflight_requests", "backend"),
        "requests are still in flight",
    )
    await until(lambda: sockets(pid) <= sockets_before, f"{sockets(pid)} sockets are open, {sockets_before} before")
