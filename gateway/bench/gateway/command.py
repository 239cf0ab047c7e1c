"""`crossover bench gateway`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from gateway.bench.gateway.rounds import Plan, Results

NAMES = "direct, direct again, crossover, nginx, vllm-router, sglang-router, litellm"


def gateway(
    rounds: Annotated[
        int, typer.Option(min=1, max=50, help="Rounds of each load; about 80 s each with all systems.")
    ] = 5,
    systems: Annotated[
        str, typer.Option(help=f"With commas between, of: {NAMES}. direct is always measured.", metavar="NAME,NAME,...")
    ] = NAMES.replace(", ", ","),
    out: Annotated[
        Path, typer.Option(help="gateway.json, gateway.svg and gateway.md are written here.", metavar="FOLDER")
    ] = Path("docs/benchmarks"),
    quick: Annotated[
        bool, typer.Option("--quick", help="A tenth of the load, 16 and 32 streams: does it run? Not for figures.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print goals and figures as JSON.")] = False,
) -> None:
    """What the gateway adds and costs, beside nginx, vllm-router, sglang-router and LiteLLM's proxy, on this machine.

    Added TTFT and inter-token latency in ms, CPU in microseconds a request and a streamed chunk, requests/s, the most
    paced streams without a stall (64 chunks at 20 ms), resident memory in MB (10^6 bytes), event loop lag in ms. All
    systems in turn, in short rounds: about 11 minutes with 5. The system has one core, mock upstream and load client
    another. Peers are installed once into CROSSOVER_HOME/peers (else .crossover/peers). Exits 1 where crossover itself
    cannot be measured; a missing peer or a missed goal is reported and is no failure.
    """
    import tempfile
    import time

    import msgspec
    from rich.console import Console

    from gateway.bench.gateway import rounds as runs
    from gateway.bench.gateway.accounting import CPU_SOURCE, cores
    from gateway.bench.gateway.chart import chart
    from gateway.bench.gateway.figures import figures, goals
    from gateway.bench.gateway.page import markdown, show
    from gateway.bench.gateway.peers import peers_folder
    from gateway.bench.gateway.processes import MeasuringError
    from gateway.bench.gateway.systems import CROSSOVER
    from gateway.bench.machine import machine

    names = _names(systems)
    plan = runs.quick(rounds) if quick else runs.Plan(rounds, ladders=(rounds + 1) // 2)
    system_core, other_core = cores()
    apart = system_core != other_core
    err = Console(stderr=True, highlight=False)
    facts = machine()
    err.print(
        f"System on core {system_core}, mock and client on core {other_core}"
        + ("." if apart else ": this machine has fewer than 2 cores, so times will say little.")
        + f" Peers: {peers_folder()}"
    )
    began = time.perf_counter()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            results = _measured(err, names, plan, Path(folder), system_core, other_core)
        found = figures(results)
        aims = goals(found, results.lag.seconds if results.lag else None, max(plan.levels))
        raw = {
            "machine": facts, "cores": {"system": system_core, "mock_and_client": other_core}, "cpu_source": CPU_SOURCE,
            "seconds": round(time.perf_counter() - began, 1), "quick": quick, "goals": aims, "figures": found,
            "results": results,
        }  # fmt: skip
        (out / "gateway.json").write_bytes(msgspec.json.format(msgspec.json.encode(raw), indent=1) + b"\n")
        (out / "gateway.md").write_text(markdown(results, found, aims, facts, apart), encoding="utf-8")
        (out / "gateway.svg").write_text(chart(found), encoding="utf-8")
    except (MeasuringError, OSError, ValueError) as error:
        typer.echo(f"crossover bench gateway: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(msgspec.json.encode({"goals": aims, "figures": found, "missing": results.missing}))
    else:
        console = Console(highlight=False)
        show(console if console.is_terminal else Console(width=160), results, found, aims, facts, apart)
    err.print(f"{time.perf_counter() - began:.0f} s; gateway.json, gateway.md and gateway.svg are in {out}")
    if CROSSOVER in results.missing:
        raise typer.Exit(1)


def _names(given: str) -> list[str]:
    from gateway.bench.gateway.systems import ALL, DIRECT

    asked = [part.strip() for part in given.split(",") if part.strip()]
    if unknown := [name for name in asked if name not in ALL]:
        raise typer.BadParameter(f"--systems: {', '.join(unknown)} is none of: {NAMES}")
    return [name for name in ALL if name in asked or name == DIRECT]


def _measured(err: Console, names: list[str], plan: Plan, folder: Path, system_core: int, other_core: int) -> Results:
    """Mock and client start on their core; each system is put on its own."""
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from gateway.bench.gateway import rounds as runs
    from gateway.bench.gateway.accounting import on_core
    from gateway.bench.gateway.processes import load_client, mock_upstream

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task("starting", total=runs.steps(plan, len(names)))

        def say(words: str) -> None:
            progress.update(bar, description=words, advance=1)

        def note(words: str) -> None:
            err.print(escape(words))

        with on_core(other_core), mock_upstream(runs.INTERVAL_SECONDS) as upstream, load_client() as load:
            return runs.measure(names, plan, upstream, load, folder, system_core, say, note)
