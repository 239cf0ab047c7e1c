"""`python -m benchmarks.choreography [--seconds 600] [--box vllm|generator] [--load 4]`.

A real vLLM on this machine's CPU is the box (made as for the demo), the sandbox is Bedrock, 25 times faster. The burst
of benchmarks/traces is thinned until its peak asks for `--load` times what the box was just measured to do. Writes
benchmarks/results/choreography.json and .svg. Exits 1 when a step of the choreography was not kept.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path

from rich.table import Table

from benchmarks.choreography.burst import read_burst
from benchmarks.choreography.drawing import timeline
from benchmarks.choreography.play import play
from benchmarks.choreography.stage import ServedBox, set_up
from benchmarks.choreography.verdicts import as_json, figures, verdicts
from benchmarks.machine import RESULTS, page, write_results
from benchmarks.traces.make_burst import QUIET_FROM, RAMP_FROM, SECONDS
from gateway.bench.machine import in_one_line, machine
from gateway.demo.local_box import GeneratorBox, LocalBox, VllmBox
from gateway.demo.measure import BoxSpeed, measure_box
from gateway.sandbox.vllm.prepare import prepare

LOAD = "peak demand over what the box can do; four tenths of it any weights can answer, and may leave the box early"
HOME = Path(os.environ.get("CROSSOVER_HOME") or Path(__file__).parents[2] / ".crossover")


def main() -> int:
    asked = argparse.ArgumentParser(prog="benchmarks.choreography", description="A burst, live.")
    asked.add_argument("--seconds", type=float, default=SECONDS, help="play the ten minutes of the trace in so long")
    asked.add_argument("--load", type=float, default=4.0, help=LOAD)
    asked.add_argument("--box", choices=("vllm", "generator"), default="vllm")
    asked.add_argument("--output", default="choreography", help="name of the results files")
    options = asked.parse_args()
    facts = machine()
    box: LocalBox = GeneratorBox(HOME) if options.box == "generator" else VllmBox(prepare(HOME, print), HOME)
    try:
        return asyncio.run(_run(box, options, facts))
    finally:
        box.stop()


async def _run(box: LocalBox, options: argparse.Namespace, facts: dict[str, object]) -> int:
    console = page()
    await box.ready(console.print)
    speed = await measure_box(box.base_url, box.tuned_model)
    burst = read_burst(options.seconds, options.load * speed.together)
    console.print(
        f"{box.engine} does {speed.single_stream:.1f} tok/s alone and {speed.together:.1f} with {speed.at_concurrency} "
        f"at once; {len(burst.requests)} requests in {burst.seconds:g} s, {burst.peak_tokens_per_second:.0f} tok/s at "
        f"the peak"
    )
    served = ServedBox(box.base_url, box.tuned_model, box.base_model, box.engine)
    with set_up(served, speed, HOME / "choreography") as stage:
        performance = await play(stage, burst, console.print)
        cost = stage.policy.backends["cmi"].cost
        assert cost is not None
        assert cost.kind == "window"
        window_seconds = float(cost.window_minutes) * 60
    scale = burst.seconds / SECONDS
    found = verdicts(performance, window_seconds, RAMP_FROM * scale, QUIET_FROM * scale)
    table = Table(box=None, title=in_one_line(facts), title_justify="left")
    for name in ("step", "kept", "seen"):
        table.add_column(name, overflow="fold")
    for verdict in found:
        table.add_row(verdict.step, "yes" if verdict.kept else "NO", verdict.seen)
    console.print(table)
    results = {
        "machine": facts,
        "box": {"engine": box.engine, "simulated": box.simulated, "speed": _speed(speed)},
        "bedrock": "the sandbox (simulated), time 25 times faster",
        "load": options.load,
        "seconds": burst.seconds,
        "peak_tokens_per_second": burst.peak_tokens_per_second,
        "steps": as_json(found),
        **figures(performance),
    }
    file = write_results(options.output, results)
    drawing = RESULTS / f"{options.output}.svg"
    drawing.write_text(timeline(performance, burst.seconds, "A burst, live: box first, then windows that are filled"))
    console.print(f"{file} and {drawing.name}")
    return 0 if all(verdict.kept for verdict in found) else 1


def _speed(speed: BoxSpeed) -> dict[str, float]:
    return {
        "single_stream_tokens_per_second": speed.single_stream,
        "together_tokens_per_second": speed.together,
        "at_concurrency": speed.at_concurrency,
    }


if __name__ == "__main__":
    raise SystemExit(main())
