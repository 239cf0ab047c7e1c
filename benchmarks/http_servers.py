"""What taking a request costs: the gateway's own server beside uvicorn and granian, with the same small application.

    python -m benchmarks.http_servers [--rounds 7]

CPU microseconds of the server's process for a request, one of 100 KB, and a streamed chunk (64 streams, a chunk each
20 ms). The servers have one core, the load client another; each round asks every server in a turning order, and one
round before the first is not counted. granian is installed once into CROSSOVER_HOME/peers.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack

from rich.progress import Progress
from rich.table import Table

from benchmarks.machine import page, write_results
from benchmarks.served import served
from gateway.bench.gateway.accounting import cores, on_core
from gateway.bench.gateway.peers import installed
from gateway.bench.gateway.processes import load_client
from gateway.bench.gateway.rounds import SCENARIOS, turned
from gateway.bench.gateway.systems import free_port
from gateway.bench.machine import in_one_line, machine
from gateway.bench.percentiles import median

CASES = {name: next(s for s in SCENARIOS if s.name == name) for name in ("whole 32", "long 8", "stream 64")}
SERVERS = ("own", "own, ASGI", "uvicorn", "granian")
SETTLE_SECONDS = 0.25


def command(name: str, port: int) -> list[str]:
    there = ["--host", "127.0.0.1", "--port", str(port)]
    if name == "uvicorn":
        asked = ["--loop", "uvloop", "--http", "httptools", "--lifespan", "off", "--no-access-log", "--ws", "none"]
        return [sys.executable, "-m", "uvicorn", "benchmarks.asgi_answer:app", *there, *asked]
    if name == "granian":
        program = installed("granian", print) / "granian"
        asked = ["--interface", "asginl", "--loop", "uvloop", "--workers", "1", "--no-ws", "--backpressure", "1024"]
        return [str(program), *there, *asked, "benchmarks.asgi_answer:app"]
    return [sys.executable, "-m", "benchmarks.own_server", str(port), *(["asgi"] if "ASGI" in name else [])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, choices=range(1, 101), metavar="N", help="[default: 7]")
    rounds: int = parser.parse_args().rounds
    own_core, other_core = cores()
    spent: dict[str, dict[str, list[float]]] = {name: {case: [] for case in CASES} for name in SERVERS}
    with ExitStack() as started, Progress(transient=True) as progress:
        with on_core(other_core):
            load = started.enter_context(load_client())
        servers = {}
        for name in SERVERS:
            port = free_port()
            servers[name] = started.enter_context(served(name, command(name, port), port, own_core))
        told = progress.add_task("rounds", total=(rounds + 1) * len(CASES) * len(SERVERS))
        for number in range(rounds + 1):
            for case, scenario in CASES.items():
                for name in turned(SERVERS, number):
                    before = servers[name].cpu_seconds()
                    measured = load.run(scenario.round_for(servers[name]))
                    time.sleep(SETTLE_SECONDS)
                    if measured.errors:
                        raise SystemExit(f"{name}, {case}: {measured.errors}")
                    units = measured.events if scenario.stream else len(measured.latency)
                    if number:
                        spent[name][case].append((servers[name].cpu_seconds() - before) * 1e6 / units)
                    progress.advance(told)
    table = Table("CPU us, median (least to most)", *CASES, title=in_one_line(machine()))
    for name, cases in spent.items():
        table.add_row(name, *(f"{median(v):.0f} ({min(v):.0f}-{max(v):.0f})" for v in cases.values()))
    page().print(table)
    page().print(f"raw: {write_results('http_servers', {'machine': machine(), 'rounds': rounds, 'cpu_us': spent})}")


if __name__ == "__main__":
    main()
