"""What the gateway adds to a request: the same load direct to a simulated box and through the gateway, side by side.

    python -m benchmarks.overhead [--rounds 7]

Box, gateway and load client are processes of their own on loopback. Rounds alternate between the two ways in a turning
order, and each has a third, direct again: what that one "adds" is the floor of this tool. "Added" is the difference of
two medians of one round; shown are the median and the quartiles of the rounds. CPU time is the gateway's own, of all
its threads; with more work than cores, latencies at higher concurrency show mostly the wait for a core. Streams begin
spread over the length of one, as users do, so that their first tokens come amid the others' events.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.load import LoadProcess, Measured, Round, load_process
from benchmarks.machine import in_one_line, machine, page, write_results
from benchmarks.percentiles import median, percentile, quartiles
from benchmarks.processes import ALIAS, CPU_SOURCE, Peer, box, gateway

ARMS = ("direct", "gateway", "direct_again")
PROMPT = "Which of the two paths is the cheaper home of a tuned model at a third of its load, and from where on? " * 3
STEP_SECONDS = 0.005
IDLE_SECONDS = 3.0
BOX_SPEED = {"single_stream_tokens_per_second": 200, "at_concurrency": 64, "first_token_seconds": 0.01}


class Scenario(msgspec.Struct, frozen=True):
    """One kind of request. `requests`: how many in a round, by concurrency."""

    name: str
    stream: bool
    max_tokens: int
    box_options: tuple[str, ...]
    requests: dict[int, int]


SCENARIOS = (
    Scenario("whole answers, 16 tokens, box at full pace", False, 16, ("--tokens-per-second", "0"),
             {1: 150, 8: 400, 32: 640}),
    Scenario("streams, 32 tokens at 5 ms", True, 32, ("--tokens-per-second", str(1 / STEP_SECONDS)),
             {1: 5, 8: 24, 32: 96}),
)  # fmt: skip


class Sample(msgspec.Struct):
    """One arm of one round."""

    arm: str
    round: int
    concurrency: int
    requests: int
    measured: Measured
    gateway_cpu_seconds: float
    box_cpu_seconds: float


def run_scenario(scenario: Scenario, rounds: int, load: LoadProcess, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    body = {
        "model": ALIAS, "messages": [{"role": "user", "content": PROMPT}], "max_tokens": scenario.max_tokens,
        "ignore_eos": True, "stream": scenario.stream,
    }  # fmt: skip
    text = msgspec.json.encode(body).decode()
    samples: list[Sample] = []
    with (
        box(folder, *scenario.box_options) as upstream,
        gateway(folder, upstream.api, BOX_SPEED) as middle,
    ):
        rss_before = middle.rss_bytes()
        idle_before = middle.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        idle_cpu = (middle.cpu_seconds() - idle_before) / IDLE_SECONDS

        def ask(arm: str, concurrency: int, requests: int) -> Measured:
            peer = middle if arm == "gateway" else upstream
            url = f"{peer.api}/chat/completions"
            spread = scenario.max_tokens * STEP_SECONDS if scenario.stream else 0.0
            return load.run(Round(url, peer.key, text, scenario.stream, concurrency, requests, spread))

        for arm in ("direct", "gateway"):  # warm: connections, caches, learned sizes
            most = max(scenario.requests)
            ask(arm, most, scenario.requests[most] // 2)
        for turn in range(rounds):
            for concurrency, requests in scenario.requests.items():
                for arm in (*ARMS[turn % 3 :], *ARMS[: turn % 3]):
                    before = middle.cpu_seconds(), upstream.cpu_seconds()
                    measured = ask(arm, concurrency, requests)
                    samples.append(
                        Sample(arm, turn, concurrency, requests, measured, *_since(before, middle, upstream))
                    )
        rss_after = middle.rss_bytes()
    return {
        "scenario": msgspec.to_builtins(scenario),
        "gateway_idle_cpu_ms_per_second": idle_cpu * 1e3,
        "gateway_rss_mib": {"fresh": rss_before / 2**20, "after": rss_after / 2**20},
        "summary": {c: summary(scenario, [s for s in samples if s.concurrency == c]) for c in scenario.requests},
        "rounds": [_round_figures(sample) for sample in samples],
    }


def _since(before: tuple[float, float], middle: Peer, upstream: Peer) -> tuple[float, float]:
    return middle.cpu_seconds() - before[0], upstream.cpu_seconds() - before[1]


def summary(scenario: Scenario, samples: Sequence[Sample]) -> dict[str, Any]:
    """The figures of one concurrency. Times in milliseconds, CPU in microseconds."""
    by_arm = {arm: [sample for sample in samples if sample.arm == arm] for arm in ARMS}
    through = by_arm["gateway"]
    requests = sum(sample.requests for sample in through)
    cpu = sum(sample.gateway_cpu_seconds for sample in through)
    figures: dict[str, Any] = {
        "requests_per_second": {
            arm: median([s.requests / s.measured.seconds for s in by_arm[arm]]) for arm in ("direct", "gateway")
        },
        "gateway_cpu_us_per_request": cpu / requests * 1e6,
        "box_cpu_us_per_request": sum(s.box_cpu_seconds for s in by_arm["direct"]) / requests * 1e6,
        "latency": compared(by_arm, "latency"),
    }
    if scenario.stream:
        figures["ttft"] = compared(by_arm, "ttft")
        figures["gaps"] = compared(by_arm, "gaps")
        figures["gateway_cpu_us_per_event"] = cpu / sum(s.measured.events for s in through) * 1e6
    return figures


def compared(by_arm: dict[str, list[Sample]], what: str) -> dict[str, Any]:
    """Milliseconds: p50 and p99 of all rounds by arm, and what the gateway, and nothing at all, add to both."""

    def values(sample: Sample) -> list[float]:
        found: list[float] = getattr(sample.measured, what)
        return found

    def added(arm: str, percent: float) -> dict[str, float]:
        differences = [
            (percentile(values(there), percent) - percentile(values(here), percent)) * 1e3
            for there, here in zip(by_arm[arm], by_arm["direct"], strict=True)
        ]
        low, high = quartiles(differences)
        return {"median": median(differences), "low": low, "high": high}

    pooled = {arm: [value for sample in of for value in values(sample)] for arm, of in by_arm.items()}
    return {
        "p50_ms": {arm: percentile(of, 50) * 1e3 for arm, of in pooled.items()},
        "p99_ms": {arm: percentile(of, 99) * 1e3 for arm, of in pooled.items()},
        "added_p50_ms": added("gateway", 50),
        "added_p99_ms": added("gateway", 99),
        "floor_p50_ms": added("direct_again", 50),
        "floor_p99_ms": added("direct_again", 99),
    }


def _round_figures(sample: Sample) -> dict[str, Any]:
    measured = sample.measured
    return {
        "arm": sample.arm,
        "round": sample.round,
        "concurrency": sample.concurrency,
        "requests": sample.requests,
        "seconds": measured.seconds,
        "events": measured.events,
        "gateway_cpu_seconds": sample.gateway_cpu_seconds,
        "box_cpu_seconds": sample.box_cpu_seconds,
        **{
            f"{name}_ms": {f"p{p}": percentile(values, p) * 1e3 for p in (50, 90, 99)}
            for name in ("latency", "ttft", "gaps")
            if (values := getattr(measured, name))
        },
    }


def show(results: dict[str, Any], console: Console) -> None:
    for scenario in results["scenarios"]:
        stream = scenario["scenario"]["stream"]
        rss = scenario["gateway_rss_mib"]
        times = _table(
            f"{scenario['scenario']['name']}: milliseconds",
            ("at once", "", "direct p50", "gateway p50", "added", "(quartiles)", "floor", "direct p99", "gateway p99",
             "added"),
        )  # fmt: skip
        work = _table(
            f"the gateway's CPU time (idle: {scenario['gateway_idle_cpu_ms_per_second']:.1f} ms a second); memory "
            f"{rss['fresh']:.0f} MiB fresh, {rss['after']:.0f} MiB after",
            ("at once", "requests/s direct", "gateway", "CPU µs a request", *(("CPU µs an event",) if stream else ())),
        )
        for concurrency, row in scenario["summary"].items():
            for what in ("ttft", "gaps") if stream else ("latency",):
                times.add_row(str(concurrency), _WORDS[what], *_times(row[what]))
            rates = row["requests_per_second"]
            cells = [f"{rates['direct']:.0f}", f"{rates['gateway']:.0f}", f"{row['gateway_cpu_us_per_request']:.0f}"]
            work.add_row(str(concurrency), *cells, *([f"{row['gateway_cpu_us_per_event']:.0f}"] if stream else []))
        console.print(times, work, sep="\n")
    console.print("Floor: what going direct a second time 'adds', quartiles. A difference within it means nothing.")
    console.print("CPU time is all that the process used in its rounds, what it does when idle included.")


_WORDS = {"latency": "latency", "ttft": "TTFT", "gaps": "gap"}


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _times(times: dict[str, Any]) -> list[str]:
    added, floor = times["added_p50_ms"], times["floor_p50_ms"]
    return [
        f"{times['p50_ms']['direct']:.2f}",
        f"{times['p50_ms']['gateway']:.2f}",
        f"{added['median']:+.2f}",
        f"{added['low']:+.2f} {added['high']:+.2f}",
        f"{floor['low']:+.2f} {floor['high']:+.2f}",
        f"{times['p99_ms']['direct']:.2f}",
        f"{times['p99_ms']['gateway']:.2f}",
        f"{times['added_p99_ms']['median']:+.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="What the gateway adds to a request.")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each scenario and concurrency")
    rounds = parser.parse_args().rounds
    console = page()
    facts = machine()
    console.print(f"The gateway against going direct. {in_one_line(facts)}.")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, load_process() as load:
        scenarios = [
            run_scenario(scenario, rounds, load, Path(folder) / str(number))
            for number, scenario in enumerate(SCENARIOS)
        ]
    results = {
        "machine": facts, "upstream": "generator (simulated)", "cpu_source": CPU_SOURCE, "rounds": rounds,
        "seconds": time.perf_counter() - began, "scenarios": scenarios,
    }  # fmt: skip
    show(results, console)
    console.print(f"{results['seconds']:.0f} s; raw figures in {write_results('overhead', results)}")


if __name__ == "__main__":
    main()
