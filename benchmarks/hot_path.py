"""Where a request's CPU time goes: the gateway beside its own server and client with nothing between, and a profile.

    python -m benchmarks.hot_path [--rounds 7]

CPU microseconds of the system's process, as in `crossover bench gateway`: two ways in turn, one core for the system and
one for the mock upstream and the load client. Then the gateway once more under cProfile, which makes calls dearer than
they are: its shares say which part, not how much.
"""

from __future__ import annotations

import argparse
import os
import pstats
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from msgspec.structs import replace
from rich.progress import Progress
from rich.table import Table

from benchmarks.machine import page, write_results
from benchmarks.served import ROOT, served
from gateway.bench.gateway.accounting import cores, on_core
from gateway.bench.gateway.processes import LoadProcess, load_client, mock_upstream
from gateway.bench.gateway.rounds import INTERVAL_SECONDS, SCENARIOS, Scenario, turned
from gateway.bench.gateway.systems import CROSSOVER, System, free_port, started
from gateway.bench.machine import in_one_line, machine
from gateway.bench.percentiles import median

CASES = {name: next(s for s in SCENARIOS if s.name == name) for name in ("whole 1", "whole 32", "long 8", "stream 64")}
# Three times as long: what a stream costs to begin and to end counts a third as much in each of its chunks.
CASES["stream 64, 192 chunks"] = replace(CASES["stream 64"], tokens=192)
SYSTEMS = ("bare relay", CROSSOVER)
SETTLE_SECONDS = 0.25
PROFILED = """
import cProfile, signal, sys
from gateway.cli import main
profile = cProfile.Profile()
signal.signal(signal.SIGUSR1, lambda *_: profile.enable())
signal.signal(signal.SIGUSR2, lambda *_: (profile.disable(), profile.dump_stats({out!r})))
sys.argv[1:] = {words!r}
main()
"""
PARTS = (
    (r"gateway/server/http1/", "the client's side: server"),
    (r"gateway/backends/http1/", "the backend's side: client"),
    (r"gateway/backends/", "the backend's wire: body, events, usage"),
    (r"gateway/routing/|gateway/server/fleet", "routing: state, prediction, decision, learning"),
    (r"gateway/metering/|gateway/economics/", "books: meter, series, ledger"),
    (r"gateway/server/(request|intake|auth)", "reading the request"),
    (r"gateway/", "the operation and its attempt"),
)


def spent(system: System, load: LoadProcess, scenario: Scenario) -> float:
    """CPU microseconds a request, or a streamed chunk."""
    before = system.cpu_seconds()
    measured = load.run(scenario.round_for(system))
    time.sleep(SETTLE_SECONDS)
    if measured.errors:
        raise SystemExit(f"{system.name}, {scenario.name}: {measured.errors}")
    if scenario.stream and median(measured.ttft) > median(measured.latency) / 2:
        raise SystemExit(f"{system.name}, {scenario.name}: the chunks came together, so that it is no stream")
    units = measured.events if scenario.stream else len(measured.latency)
    return (system.cpu_seconds() - before) * 1e6 / units


def profile(upstream: int, load: LoadProcess, folder: Path) -> dict[str, float]:
    """Own time of each part and of the built-ins that it calls, as shares, under whole requests, 32 at once. The event
    loop's own C code is not seen."""
    folder.mkdir()
    with started(CROSSOVER, upstream, folder / "first", 0, lambda _: None):
        pass  # its policy file is what is wanted
    policy, out = str(folder / "first" / "policy.yaml"), str(folder / "profile")
    words = ["serve", "--policy", policy, "--json"]
    process = subprocess.Popen(
        [sys.executable, "-c", PROFILED.format(words=words, out=out)], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "XO_BENCH_KEY": "xo-profiled"},
    )  # fmt: skip
    assert process.stdout is not None
    found = re.search(r':(\d+)/v1"', process.stdout.readline())
    assert found is not None
    asked = CASES["whole 32"].round_for(System(CROSSOVER, int(found[1]), "xo-profiled"))
    load.run(asked)  # what is done once is not what is asked for
    process.send_signal(signal.SIGUSR1)
    time.sleep(SETTLE_SECONDS)
    load.run(asked)
    process.send_signal(signal.SIGUSR2)
    time.sleep(4 * SETTLE_SECONDS)
    process.terminate()
    process.wait()
    parts: dict[str, float] = defaultdict(float)
    for (file, _, _), (_, _, own, _, callers) in pstats.Stats(out).stats.items():  # type: ignore[attr-defined]
        if (part := _part(file)) is not None:
            parts[part] += own
        elif file != "~":
            parts["the standard library and packages"] += own
        else:
            for (caller, _, _), (_, _, for_it, _) in callers.items():
                parts[_part(caller) or "the loop, and what it calls by itself"] += for_it
    total = sum(parts.values())
    return {name: own / total for name, own in sorted(parts.items(), key=lambda item: -item[1])}


def _part(file: str) -> str | None:
    return next((name for pattern, name in PARTS if re.search(pattern, file)), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, choices=range(1, 101), metavar="N", help="[default: 7]")
    rounds: int = parser.parse_args().rounds
    own_core, other_core = cores()
    cpu: dict[str, dict[str, list[float]]] = {name: {case: [] for case in CASES} for name in SYSTEMS}
    with ExitStack() as running, Progress(transient=True) as progress:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        with on_core(other_core):
            upstream = running.enter_context(mock_upstream(INTERVAL_SECONDS))
            load = running.enter_context(load_client())
        port = free_port()
        relay = [sys.executable, "-m", "benchmarks.bare_relay", str(port), str(upstream)]
        systems = {
            "bare relay": running.enter_context(served("bare relay", relay, port, own_core)),
            CROSSOVER: running.enter_context(
                started(CROSSOVER, upstream, folder / "gateway", own_core, lambda _: None)
            ),
        }
        told = progress.add_task("rounds", total=(rounds + 1) * len(CASES) * len(SYSTEMS))
        for number in range(rounds + 1):
            for case, scenario in CASES.items():
                for name in turned(SYSTEMS, number):
                    found = spent(systems[name], load, scenario)
                    if number:  # the round before the first is not counted
                        cpu[name][case].append(found)
                    progress.advance(told)
        shares = profile(upstream, load, folder / "profiled")
    table = Table("CPU us, median (least to most)", *CASES, title=in_one_line(machine()))
    for name, cases in cpu.items():
        table.add_row(name, *(f"{median(v):.0f} ({min(v):.0f}-{max(v):.0f})" for v in cases.values()))
    page().print(table)
    for part, share in shares.items():
        page().print(f"{share:6.1%}  {part}")
    page().print(f"raw: {write_results('hot_path', {'machine': machine(), 'cpu_us': cpu, 'profile_share': shares})}")


if __name__ == "__main__":
    main()
