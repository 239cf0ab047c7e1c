"""What asking an upstream costs: the gateway's own HTTP/1.1 client beside aiohttp's and a bare parser.

    python -m benchmarks.upstream_client [--rounds 15]

CPU time of this process on uvloop; the upstream is simulated, on loopback, in a process of its own. Every round asks
with each client in a turning order; one more round before the first is not counted. A streamed chunk's figure holds its
share of the request; streams begin spread over one pause, the same for each client. No TLS, no DNS.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import time
from collections.abc import Callable
from typing import Any

import msgspec
import uvloop
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.http_clients import Aiohttp, Asks, Bare, Http1
from benchmarks.machine import page, write_results
from benchmarks.paced_upstream import ANSWER, EVENT, EVENTS, PACE_SECONDS, paced_upstream
from gateway.bench.machine import in_one_line, machine
from gateway.bench.percentiles import median

TIMEOUT_SECONDS = 60.0
MOST_ROUNDS = 100
CLIENTS: dict[str, Callable[[int], Asks]] = {"aiohttp": Aiohttp, "http1": Http1, "bare": Bare}
SHORT = b'{"model":"m","messages":[{"role":"user","content":"hi there"}]}'
LONG = SHORT.replace(b"hi there", b"a" * 100_000)


class Case(msgspec.Struct, frozen=True):
    """`requests`: in one round, with one client."""

    name: str
    in_flight: int
    requests: int
    long: bool = False
    stream: bool = False

    @property
    def body(self) -> bytes:
        return LONG if self.long else SHORT

    @property
    def answer_bytes(self) -> int:
        return EVENTS * len(EVENT) if self.stream else len(ANSWER)

    @property
    def units(self) -> int:
        """What the CPU time is shared among: requests, or the chunks that the upstream sends."""
        return self.requests * (EVENTS if self.stream else 1)


WARM = Case("warm up", 32, 64)
CASES = (
    Case("a request, 1 in flight", 1, 1000),
    Case("a request, 32 in flight", 32, 3000),
    Case("a request of 100 KB, 1 in flight", 1, 250, long=True),
    Case("a request of 100 KB, 32 in flight", 32, 500, long=True),
    Case(f"a streamed chunk, 64 streams at {PACE_SECONDS * 1e3:.0f} ms", 64, 64, stream=True),
)


class Sample(msgspec.Struct):
    """One case with one client in one round. CPU microseconds a request or a chunk; reads are of a chunk."""

    case: str
    client: str
    round: int
    cpu_us: float
    reads: float | None
    seconds: float


async def measure(case: Case, name: str, client: Asks, turn: int) -> Sample:
    """Raises RuntimeError for an answer that is not whole, TimeoutError after a minute."""
    left = iter(range(case.requests))
    body, answer_bytes, reads = case.body, case.answer_bytes, 0

    async def one_after_another(number: int) -> None:
        nonlocal reads
        if case.stream:
            await asyncio.sleep(PACE_SECONDS * number / case.in_flight)
        for _ in left:
            if case.stream:
                size, more = await client.stream(body)
                reads += more
            else:
                size = await client.whole(body)
            if size != answer_bytes:
                raise RuntimeError(f"{name} read {size} bytes of an answer of {answer_bytes}")

    began, cpu_before = time.perf_counter(), time.process_time()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await asyncio.gather(*(one_after_another(number) for number in range(case.in_flight)))
    cpu, seconds = time.process_time() - cpu_before, time.perf_counter() - began
    reads_a_chunk = reads / case.units if case.stream else None
    return Sample(case.name, name, turn, cpu / case.units * 1e6, reads_a_chunk, seconds)


async def measure_all(port: int, rounds: int, console: Console) -> list[Sample]:
    clients = {name: make(port) for name, make in CLIENTS.items()}
    names = list(clients)
    samples: list[Sample] = []
    # Drawn between measurements only: a thread that refreshes it would be measured as well.
    with Progress(console=console, auto_refresh=False, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=(rounds + 1) * len(names) * len(CASES))
        try:
            for turn in range(rounds + 1):
                first = turn % len(names)
                for name in names[first:] + names[:first]:
                    gc.collect()
                    await measure(WARM, name, clients[name], turn)
                    for case in CASES:
                        words = f"round {turn} of {rounds}" if turn else "warming up"
                        progress.update(task, description=f"{words}: {name}, {case.name}", refresh=True)
                        sample = await measure(case, name, clients[name], turn)
                        progress.advance(task)
                        if turn:
                            samples.append(sample)
        finally:
            for client in clients.values():
                await client.aclose()
    return samples


def summary(samples: list[Sample]) -> list[dict[str, Any]]:
    """A row for each case and client, with every round's value in the order of the rounds."""
    rows = []
    for case, client in itertools.product((case.name for case in CASES), CLIENTS):
        of = [sample for sample in samples if (sample.case, sample.client) == (case, client)]
        cpu = [sample.cpu_us for sample in of]
        rows.append(
            {
                "what": case, "client": client, "median_cpu_us": median(cpu), "least_cpu_us": min(cpu),
                "most_cpu_us": max(cpu), "cpu_us": cpu, "seconds": [sample.seconds for sample in of],
                "reads_a_chunk": [sample.reads for sample in of if sample.reads is not None],
            }
        )  # fmt: skip
    return rows


def show(rows: list[dict[str, Any]], console: Console) -> None:
    table = Table(title="CPU microseconds", title_justify="left")
    for name in ("", "client", "median", "least", "most", "reads a chunk"):
        table.add_column(name, justify="left" if name in ("", "client") else "right")
    shown = ""
    for row in rows:
        if shown and row["what"] != shown:
            table.add_section()
        times = (f"{row[f'{which}_cpu_us']:.1f}" for which in ("median", "least", "most"))
        reads = row["reads_a_chunk"]
        name = "" if row["what"] == shown else row["what"]
        table.add_row(name, row["client"], *times, f"{median(reads):.2f}" if reads else "")
        shown = row["what"]
    console.print(table)
    console.print("Chunks that wait for a busy client are read together: below one read a chunk, and cheaper by that.")


def main() -> None:
    parser = argparse.ArgumentParser(description="What asking an upstream costs, by client.")
    parser.add_argument("--rounds", type=int, default=15, help=f"counted rounds, 1 to {MOST_ROUNDS}")
    rounds = parser.parse_args().rounds
    if not 1 <= rounds <= MOST_ROUNDS:
        parser.error(f"--rounds {rounds} is not between 1 and {MOST_ROUNDS}")
    console = page()
    facts = machine()
    console.print(f"Three HTTP/1.1 clients. {in_one_line(facts)}.")
    began = time.perf_counter()
    with paced_upstream() as port, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        samples = runner.run(measure_all(port, rounds, console))
    rows = summary(samples)
    seconds = time.perf_counter() - began
    results = {
        "machine": facts, "upstream": "simulated, in its own process", "event_loop": "uvloop", "rounds": rounds,
        "seconds": seconds, "events_a_stream": EVENTS, "pace_seconds": PACE_SECONDS,
        "cases": msgspec.to_builtins(CASES), "rows": rows,
    }  # fmt: skip
    show(rows, console)
    console.print(f"{seconds:.0f} s; raw figures in {write_results('upstream_client', results)}")


if __name__ == "__main__":
    main()
