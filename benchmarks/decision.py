"""What one routing decision costs: CPU time and memory, with six backends of every cost kind.

    python -m benchmarks.decision

The fleet's snapshot (built anew for every request) and `Router.decide` are timed apart, then together with
`Router.note` as a request pays for them, on the gateway's own `Core`, in batches on this thread's CPU clock. The
router's memory is warm: a simulated quarter of an hour of decisions was noted first. Nothing is sent anywhere.
"""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace
from rich.table import Table

from benchmarks.machine import page, write_results
from gateway.bench.machine import in_one_line, machine
from gateway.bench.percentiles import percentile
from gateway.economics.windows import WindowView
from gateway.policy.load import parse_policy
from gateway.policy.schema import Policy
from gateway.routing.decision import Decision
from gateway.routing.facts import Ceiling, RequestFacts
from gateway.routing.load import Load
from gateway.routing.snapshot import FleetSnapshot
from gateway.server.core import Core

BATCHES = 400
CALLS_A_BATCH = 50
KEPT = 2000
"""Results held at once when memory is counted."""
NOTED = 4500
NOTED_EVERY_SECONDS = 0.2
BAD_EVERY = 150
"""One in so many of the noted requests ends badly."""

POLICY = """
version: 1
auth: {open: true}
ledger: {path: null}
routing: {when_late: lower_quality}
backends:
  box: &box
    wire: openai
    base_url: http://127.0.0.1:9/v1
    max_in_flight: 32
    cost: {kind: amortized, usd_per_month: 200, energy_usd_per_1m_output_tokens: 0.9}
    speed: {single_stream_tokens_per_second: 14, max_tokens_per_second: 200, at_concurrency: 32, context_tokens: 8192}
  second-box: *box
  import:
    wire: openai
    base_url: http://127.0.0.1:9/v1
    cost: {kind: window, usd_per_unit_minute: 0.05718, units_per_copy: 2, max_copies: 2}
    speed: {single_stream_tokens_per_second: 95, at_concurrency: 16}
  cold-import:
    wire: openai
    base_url: http://127.0.0.1:9/v1
    cost: {kind: window, usd_per_unit_minute: 0.05718, units_per_copy: 2}
    speed: {single_stream_tokens_per_second: 95, at_concurrency: 16}
  on-demand:
    wire: openai
    base_url: http://127.0.0.1:9/v1
    cost: {kind: per_token, input_usd_per_1m: 0.22, output_usd_per_1m: 0.22}
    speed: {single_stream_tokens_per_second: 95, at_concurrency: 64}
  provisioned:
    wire: openai
    base_url: http://127.0.0.1:9/v1
    cost: {kind: provisioned, usd_per_unit_hour: 7.11}
    speed: {single_stream_tokens_per_second: 95, at_concurrency: 16}
aliases:
  tuned:
    served_by:
      - {backend: box, model: m}
      - {backend: second-box, model: m}
      - {backend: import, model: m}
      - {backend: cold-import, model: m}
      - {backend: on-demand, model: m, quality: tuned}
      - {backend: provisioned, model: m}
  captive:
    needs: tuned
    served_by:
      - {backend: box, model: m}
      - {backend: second-box, model: m}
      - {backend: import, model: m}
      - {backend: cold-import, model: m}
      - {backend: on-demand, model: m, quality: base}
      - {backend: provisioned, model: m}
"""
CAPTIVE = RequestFacts("captive", "chat", 300, 256, True, Ceiling(10.0, 0.2))
"""No backend that is paid by the token answers it well."""

REQUESTS = {
    "no ceiling": RequestFacts("tuned", "chat", 300, 256, True),
    "ceilings": RequestFacts("tuned", "chat", 300, 256, True, Ceiling(10.0, 0.2)),
    "nobody in time": RequestFacts("tuned", "chat", 300, 256, True, Ceiling(0.001)),
    "fields to carry, pinned": RequestFacts(
        "tuned", "chat", 300, demands=frozenset(("tools", "temperature")), pinned_backend="import"
    ),
    "captive": CAPTIVE,
}
CROWDED = {
    "captive, all full": CAPTIVE,
    "can wait, all full": RequestFacts("captive", "chat", 300, 256, True, Ceiling(300.0, 1.0)),
}
"""Asked of a fleet where all that is owned has a long line and no imported model is up."""
FULL = 10.0
"""Requests on all that is owned, over its batch."""


def busy_core(policy: Policy) -> Core:
    """A gateway in the middle of its day: some load everywhere, one import with an open window that is paid."""
    core = Core(policy)
    now = core.clock()
    for number, tracker in enumerate(core.fleet.trackers.values()):
        for _ in range(2 + number):
            tracker.first_token(tracker.sent(300, now - 1.0), now)
        tracker.sent(300, now)
        tracker.scraped(Load(now, 6, 2, 0.4))
        tracker.generated(500, now)
    for seconds in (3.0, 2.0, 1.0):  # with the second call the copy stays for a second window
        core.meter.window_call_began("import", now - seconds, now)
    core.fleet.answered("tuned", 1200, 300, 180)
    core.fleet.answered("captive", 1200, 300, 180)
    return core


def crowded(core: Core, fleet: FleetSnapshot, load: float) -> FleetSnapshot:
    """The same fleet with so many requests (over its batch) on whatever is owned, and no imported model up."""
    states = {}
    for name, state in fleet.backends.items():
        if state.window is not None:
            closed = WindowView(0, 0, 0, 0.0, 0.0, state.window.next_window_nanousd)
            states[name] = replace(state, window=closed, restoring_seconds=None, copies_starting=0)
        elif name == "on-demand":
            states[name] = state
        else:
            batch = core.fleet.trackers[name].seed.batch
            in_flight = round(load * batch)
            states[name] = replace(state, in_flight=in_flight, decoding=min(batch, in_flight), max_in_flight=1024)
    return replace(fleet, backends=states)


def live_through(core: Core) -> None:
    """A quarter of an hour of decisions, noted: demand, congestion, regret and the error budget have something to go
    by. The boxes fill up and empty again, twice a minute."""
    router, now = core.router, core.clock()
    fleet = core.fleet.snapshot(now)
    loads = [crowded(core, fleet, 1.2 * FULL * step / 75) for step in range(76)]
    asked = [CAPTIVE, REQUESTS["ceilings"]]
    for number in range(NOTED):
        at = now - (NOTED - number) * NOTED_EVERY_SECONDS
        seen = replace(loads[abs(number % (2 * len(loads) - 1) - len(loads) + 1)], at=at)
        facts = asked[number % 2]
        router.note(facts, router.decide(facts, seen), at)
        router.ended(facts, number % BAD_EVERY == 0, at)


def cpu_nanoseconds(call: Callable[[], object]) -> list[float]:
    """Nanoseconds a call, one value a batch, on this thread's CPU clock."""
    for _ in range(CALLS_A_BATCH * 4):
        call()
    measured: list[float] = []
    for _ in range(BATCHES):
        began = time.thread_time_ns()
        for _ in range(CALLS_A_BATCH):
            call()
        measured.append((time.thread_time_ns() - began) / CALLS_A_BATCH)
    return measured


def memory(call: Callable[[], object]) -> dict[str, float]:
    """What one result holds: allocator blocks and bytes; and the peak of bytes while one is made."""
    call()
    kept: list[object] = [None] * KEPT
    gc.collect()
    gc.disable()
    try:
        before = sys.getallocatedblocks()
        for number in range(KEPT):
            kept[number] = call()
        blocks = (sys.getallocatedblocks() - before) / KEPT
        kept = [None] * KEPT
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(KEPT):
            kept[number] = call()
        held = (tracemalloc.get_traced_memory()[0] - before) / KEPT
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        one = call()
        peak = tracemalloc.get_traced_memory()[1] - before
        del one
    finally:
        tracemalloc.stop()
        gc.enable()
    return {"blocks": blocks, "bytes": held, "peak_bytes": peak}


def measure(core: Core) -> list[dict[str, Any]]:
    def snapshot() -> object:
        return core.fleet.snapshot(core.clock())

    rows: list[dict[str, Any]] = [
        {"what": "Fleet.snapshot", "ns": cpu_nanoseconds(snapshot), "memory": memory(snapshot)}
    ]
    fleet = core.fleet.snapshot(core.clock())
    full = crowded(core, fleet, FULL)
    asked = [(name, facts, fleet) for name, facts in REQUESTS.items()]
    asked += [(name, facts, full) for name, facts in CROWDED.items()]
    for name, facts, seen in asked:

        def decide(facts: RequestFacts = facts, seen: FleetSnapshot = seen) -> Decision:
            return core.router.decide(facts, seen)

        decision = decide()
        in_time = sum(candidate.in_time for candidate in decision.candidates)
        chosen = decision.chosen
        rows.append(
            {
                "what": f"decide: {name}",
                "ns": cpu_nanoseconds(decide),
                "memory": memory(decide),
                "in_time": in_time,
                "chosen": None if chosen is None else f"{chosen.backend}, {decision.reason}",
            }
        )
    for name in ("ceilings", "captive"):

        def whole(facts: RequestFacts = REQUESTS[name]) -> Decision:
            now = core.clock()
            decision = core.router.decide(facts, core.fleet.snapshot(now))
            core.router.note(facts, decision, now)
            return decision

        rows.append({"what": f"all three: {name}", "ns": cpu_nanoseconds(whole), "memory": memory(whole)})
    return rows


def main() -> None:
    console = page()
    facts = machine()
    core = busy_core(parse_policy(POLICY, "benchmark"))
    live_through(core)
    console.print(f"One decision among {len(core.backends)} backends. {in_one_line(facts)}.")
    rows = measure(core)
    table = Table()
    for name in ("", "p50 µs", "p99 µs", "blocks held", "bytes held", "at the peak", "in time", "chosen"):
        table.add_column(name, justify="left" if name in ("", "chosen") else "right")
    for row in rows:
        held = row["memory"]
        p50, p99 = (f"{percentile(row['ns'], percent) / 1e3:.1f}" for percent in (50, 99))
        sizes = (f"{held[name]:.0f}" for name in ("blocks", "bytes", "peak_bytes"))
        table.add_row(row["what"], p50, p99, *sizes, str(row.get("in_time", "")), row.get("chosen") or "")
    console.print(table)
    console.print(f"CPU time of this thread, {BATCHES} batches of {CALLS_A_BATCH} calls; p99 is of the batches' means.")
    summary = [{**row, "p50_ns": percentile(row["ns"], 50), "p99_ns": percentile(row["ns"], 99)} for row in rows]
    results = {
        "machine": facts, "backends": len(core.backends), "batches": BATCHES, "calls_a_batch": CALLS_A_BATCH,
        "decisions_noted_before": NOTED, "requests": msgspec.to_builtins(REQUESTS | CROWDED, enc_hook=sorted),
        "rows": summary,
    }  # fmt: skip
    console.print(f"Raw figures in {write_results('decision', results)}")


if __name__ == "__main__":
    main()
