"""The run: every system up at once, each kind of load given to each in turn, short rounds in a turning order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from gateway.bench.gateway import mock
from gateway.bench.gateway.lag import Lag, LagMeter
from gateway.bench.gateway.load import Measured, Round
from gateway.bench.gateway.peers import PeerMissingError
from gateway.bench.gateway.processes import LoadProcess
from gateway.bench.gateway.systems import CROSSOVER, DIRECT, System, started
from gateway.bench.percentiles import percentile

INTERVAL_SECONDS = 0.02
LEVELS = (16, 32, 64, 128, 256, 512)
STALL_INTERVALS = 5
LONG_PROMPT_BYTES = 100_000
PROMPT = "Which of the two paths is the cheaper home of a tuned model at a third of its load, and from where on?"

Say = Callable[[str], None]


class Scenario(msgspec.Struct, frozen=True):
    """One kind of load. `seconds`: how long new requests are sent in one round; `spread`: over which they begin."""

    name: str
    stream: bool
    tokens: int
    concurrency: int
    seconds: float
    prompt_bytes: int = len(PROMPT)
    spread_seconds: float = 0.0

    def round_for(self, system: System) -> Round:
        prompt = (PROMPT * (self.prompt_bytes // len(PROMPT) + 1))[: self.prompt_bytes]
        messages = [{"role": "user", "content": prompt}]
        body = {"model": mock.MODEL, "messages": messages, "max_tokens": self.tokens, "stream": self.stream}
        return Round(
            "127.0.0.1", system.port, system.key, json.dumps(body), self.stream, self.tokens, self.concurrency,
            self.seconds, self.spread_seconds,
        )  # fmt: skip


SCENARIOS = (
    Scenario("whole 1", False, 16, 1, 0.6),
    Scenario("whole 8", False, 16, 8, 0.5),
    Scenario("whole 32", False, 16, 32, 0.8),
    Scenario("whole 64", False, 16, 64, 0.5),
    Scenario("long 8", False, 16, 8, 0.6, LONG_PROMPT_BYTES),
    Scenario("stream 1", True, 4, 1, 1.0),
    Scenario("stream 8", True, 16, 8, 0.7, spread_seconds=0.3),
    Scenario("stream 32", True, 16, 32, 0.7, spread_seconds=0.3),
    Scenario("stream 64", True, 64, 64, 0.5, spread_seconds=0.6),
)
CPU_READ = ("whole 1", "whole 32", "long 8", "stream 64")
"""Where CPU time is a figure, so that work which was put off is waited for."""
FULL_LOAD = ("whole 64", "stream 64")
"""Where the event loop's lag is read."""


class Plan(msgspec.Struct, frozen=True):
    """How much is measured. `settle_seconds`: the wait before CPU time is read, for work that was put off."""

    rounds: int = 5
    ladders: int = 3
    levels: tuple[int, ...] = LEVELS
    tokens_of_paced: int = 64
    share_of_seconds: float = 1.0
    settle_seconds: float = 0.3
    idle_seconds: float = 2.0
    recover_seconds: float = 10.0


def quick(rounds: int) -> Plan:
    return Plan(rounds, 1, LEVELS[:2], 8, 0.1, 0.05, 0.3, 0.5)


class Sample(msgspec.Struct):
    """One system under one scenario in one round. Times in milliseconds: p50, p99, max. CPU in seconds, less idle."""

    system: str
    round: int
    scenario: str
    seconds: float
    answers: int
    events: int
    cpu_seconds: float
    idle_cpu_per_second: float
    latency: dict[str, float]
    ttft: dict[str, float]
    gaps: dict[str, float]
    errors: dict[str, int]


class Ladder(msgspec.Struct):
    """The most paced streams without a stall in one round; `steps`: each try, as (streams, longest gap ms, errors)."""

    system: str
    round: int
    streams: int
    steps: list[tuple[int, float, int]]


class Memory(msgspec.Struct):
    """Resident bytes of the whole tree: before any load, the most after any load, and some seconds after the last."""

    idle: int
    loaded: int = 0
    recovered: int = 0


class Results(msgspec.Struct):
    plan: Plan
    scenarios: tuple[Scenario, ...]
    samples: list[Sample] = []
    ladders: list[Ladder] = []
    memory: dict[str, Memory] = {}
    missing: dict[str, str] = {}
    lag: Lag | None = None


def turned(names: Sequence[str], turn: int) -> list[str]:
    """Each round begins with another, so that none always follows the same one."""
    start = turn % len(names)
    return [*names[start:], *names[:start]]


def steps(plan: Plan, systems: int) -> int:
    """How often `say` is told that another step begins: for the progress bar."""
    return systems + plan.rounds * len(SCENARIOS) + plan.ladders * len(plan.levels) + 2


def measure(
    names: Sequence[str], plan: Plan, upstream: int, load: LoadProcess, folder: Path, core: int, say: Say, note: Say
) -> Results:
    """`say`: told of each step; `note`: told what must be kept, such as a peer that is missing."""
    scenarios = tuple(
        msgspec.structs.replace(
            one,
            seconds=one.seconds * plan.share_of_seconds,
            spread_seconds=one.spread_seconds * plan.share_of_seconds,
            tokens=min(one.tokens, plan.tokens_of_paced),
        )
        for one in SCENARIOS
    )
    results = Results(plan, scenarios)
    with ExitStack() as stack:
        systems: dict[str, System] = {}
        for name in names:
            say(name)
            try:
                opened = started(name, upstream, folder / name.replace(" ", "-"), core, note)
                systems[name] = stack.enter_context(opened)
            except PeerMissingError as error:
                results.missing[name] = str(error)
                note(f"{name} is MISSING from this run: {error}")
        Run(results, systems, load, say, note).all()
    return results


class Run:
    def __init__(self, results: Results, systems: dict[str, System], load: LoadProcess, say: Say, note: Say) -> None:
        self._results, self._systems, self._load, self._say, self._note = results, systems, load, say, note
        self._plan = results.plan
        self._names = list(systems)
        self._served = [system for system in systems.values() if system.pid is not None]
        self._lag = LagMeter(systems.get(CROSSOVER))

    def all(self) -> None:
        plan, results = self._plan, self._results
        self._say("idle")
        time.sleep(plan.idle_seconds)
        results.memory = {system.name: Memory(system.rss_bytes()) for system in self._served}
        for system in self._systems.values():  # warm: connections, caches, code
            for scenario in (results.scenarios[1], results.scenarios[-1]):
                self._load.run(msgspec.structs.replace(scenario, seconds=scenario.seconds / 2).round_for(system))
        for turn in range(plan.rounds):
            idle = self._idle_rates()
            for number, scenario in enumerate(results.scenarios):
                self._say(f"round {turn + 1} of {plan.rounds}: {scenario.name} in flight")
                for name in turned(self._names, turn + number):
                    results.samples.append(self._sample(self._systems[name], scenario, turn, idle.get(name, 0.0)))
        for turn in range(plan.ladders):
            results.ladders += self._climb(turn)
        self._say("after the load")
        time.sleep(plan.recover_seconds)
        for system in self._served:
            results.memory[system.name].recovered = system.rss_bytes()
        results.lag = self._lag.worst()

    def _idle_rates(self) -> dict[str, float]:
        """CPU seconds a second of each, measured while nothing is asked of any."""
        time.sleep(self._plan.settle_seconds)
        before = {system.name: system.cpu_seconds() for system in self._served}
        began = time.perf_counter()
        time.sleep(self._plan.idle_seconds)
        seconds = time.perf_counter() - began
        return {system.name: (system.cpu_seconds() - before[system.name]) / seconds for system in self._served}

    def _sample(self, system: System, scenario: Scenario, turn: int, idle: float) -> Sample:
        meter = self._lag.around(system.name == CROSSOVER and scenario.name in FULL_LOAD)
        with meter:
            before, began = system.cpu_seconds(), time.perf_counter()
            measured = self._load.run(scenario.round_for(system))
            if system.pid is not None:
                self._remember(system)
                time.sleep(self._plan.settle_seconds if scenario.name in CPU_READ else 0.0)
            cpu = system.cpu_seconds() - before - idle * (time.perf_counter() - began)
        self._complain(system, scenario.name, measured)
        return Sample(
            system.name, turn, scenario.name, measured.seconds, len(measured.latency), measured.events, max(0.0, cpu),
            idle, summed(measured.latency), summed(measured.ttft), summed(measured.gaps), measured.errors,
        )  # fmt: skip

    def _climb(self, turn: int) -> Iterator[Ladder]:
        """Levels from the lowest; a system leaves at the first level that stalls twice in a row."""
        plan = self._plan
        ladders = {name: Ladder(name, turn, 0, []) for name in self._names}
        going = set(self._names)
        for level in plan.levels:
            self._say(f"paced streams, round {turn + 1} of {plan.ladders}: {level}")
            direct = self._paced(DIRECT, level, ladders)
            for name in turned(self._names, turn):
                if name == DIRECT:
                    good = direct[1] == 0
                elif name not in going:
                    continue
                else:
                    good = any(not stalled(self._paced(name, level, ladders), direct[0]) for _ in range(2))
                if good and ladders[name].streams == _before(plan.levels, level):
                    ladders[name].streams = level
                elif name != DIRECT:
                    going.discard(name)
        yield from ladders.values()

    def _paced(self, name: str, level: int, ladders: dict[str, Ladder]) -> tuple[float, int]:
        """The longest gap in milliseconds, and the streams that were not complete."""
        system = self._systems[name]
        scenario = Scenario(f"paced {level}", True, self._plan.tokens_of_paced, level, 0.0, spread_seconds=0.25)
        measured = self._load.run(scenario.round_for(system))
        if system.pid is not None:
            self._remember(system)
        time.sleep(min(0.1, self._plan.settle_seconds))
        found = max(measured.gaps, default=0.0) * 1e3, sum(measured.errors.values())
        ladders[name].steps.append((level, *found))
        self._complain(system, scenario.name, measured)
        return found

    def _remember(self, system: System) -> None:
        memory = self._results.memory[system.name]
        memory.loaded = max(memory.loaded, system.rss_bytes())

    def _complain(self, system: System, scenario: str, measured: Measured) -> None:
        for why, times in measured.errors.items():
            self._note(f"{system.name}, {scenario} in flight: {times} ERRORS: {why}")


def stalled(found: tuple[float, int], direct_gap_ms: float) -> bool:
    """A stall: a stream that is not complete, or a gap of over five intervals beyond the longest that going direct
    showed with as many streams just before."""
    gap_ms, errors = found
    return errors > 0 or gap_ms > direct_gap_ms + STALL_INTERVALS * INTERVAL_SECONDS * 1e3


def _before(levels: Sequence[int], level: int) -> int:
    at = levels.index(level)
    return levels[at - 1] if at else 0


def summed(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {}
    return {
        "p50": percentile(seconds, 50) * 1e3, "p99": percentile(seconds, 99) * 1e3, "max": max(seconds) * 1e3,
    }  # fmt: skip
