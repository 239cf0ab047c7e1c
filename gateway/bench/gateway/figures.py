"""From samples to figures: medians and quartiles over rounds, ratios to the peers, and which goals are met."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from gateway.bench.gateway.rounds import Results, Sample
from gateway.bench.gateway.systems import CROSSOVER, DIRECT
from gateway.bench.percentiles import median, quartiles

IN_FLIGHT = (1, 8, 32, 64)
COMPARED = ("nginx", "vllm-router", "litellm")
RIVAL = "vllm-router"
MB = 1e6


class Figure(msgspec.Struct):
    """Median and quartiles over the rounds, in the unit that its name has in `NAMES`."""

    median: float
    low: float
    high: float


Figures = dict[str, dict[str, Figure]]
"""By figure's name, then by system."""

NAMES: dict[str, str] = {
    "cpu_request_1": "CPU µs a request, 1 in flight",
    "cpu_request_32": "CPU µs a request, 32 in flight",
    "cpu_long": "CPU µs a request of 100 KB, 8 in flight",
    "cpu_chunk_64": "CPU µs a streamed chunk, 64 streams",
    **{f"ttft_{n}_{p}": f"added TTFT {p}, {n} in flight, ms" for n in IN_FLIGHT for p in ("p50", "p99")},
    **{f"gap_{n}_{p}": f"added inter-token latency {p}, {n} in flight, ms" for n in IN_FLIGHT for p in ("p50", "p99")},
    "requests_per_second": "requests/s, 64 in flight",
    "streams": "paced streams without a stall",
    "rss_idle": "RSS idle, MB",
    "rss_loaded": "RSS loaded, MB",
    "rss_recovered": "RSS recovered, MB",
}


def figures(results: Results) -> Figures:
    """What a system has no samples for is left out."""
    found: Figures = {name: {} for name in NAMES}
    systems = sorted({sample.system for sample in results.samples})
    for system in systems:
        for name, values in _values(results, system):
            if values:
                low, high = quartiles(values)
                found[name][system] = Figure(median(values), low, high)
    return found


def _values(results: Results, system: str) -> Iterable[tuple[str, list[float]]]:
    def of(scenario: str, value: Callable[[Sample], float | None]) -> list[float]:
        mine = [one for one in results.samples if one.system == system and one.scenario == scenario]
        return [found for one in mine if (found := value(one)) is not None]

    def cpu(per: Callable[[Sample], int]) -> Callable[[Sample], float | None]:
        return lambda one: one.cpu_seconds / per(one) * 1e6 if per(one) else None

    if system in results.memory:
        yield "cpu_request_1", of("whole 1", cpu(lambda one: one.answers))
        yield "cpu_request_32", of("whole 32", cpu(lambda one: one.answers))
        yield "cpu_long", of("long 8", cpu(lambda one: one.answers))
        yield "cpu_chunk_64", of("stream 64", cpu(lambda one: one.events))
        memory = results.memory[system]
        yield "rss_idle", [memory.idle / MB]
        yield "rss_loaded", [memory.loaded / MB]
        yield "rss_recovered", [memory.recovered / MB]
    yield "requests_per_second", of("whole 64", lambda one: one.answers / one.seconds)
    yield "streams", [float(one.streams) for one in results.ladders if one.system == system]
    if system != DIRECT:
        for n in IN_FLIGHT:
            for p in ("p50", "p99"):
                yield f"ttft_{n}_{p}", _added(results.samples, system, f"stream {n}", lambda one: one.ttft, p)
                yield f"gap_{n}_{p}", _added(results.samples, system, f"stream {n}", lambda one: one.gaps, p)


def _added(
    samples: Sequence[Sample], system: str, scenario: str, what: Callable[[Sample], dict[str, float]], p: str
) -> list[float]:
    """Each round's percentile less that of going direct in the same round."""
    here = {one.round: what(one).get(p) for one in samples if one.system == DIRECT and one.scenario == scenario}
    there = {one.round: what(one).get(p) for one in samples if one.system == system and one.scenario == scenario}
    return [value - base for turn, value in there.items() if value is not None and (base := here.get(turn)) is not None]


class Goal(msgspec.Struct):
    """`met` is None where a figure it needs is missing. `limit`: what `value` may be, `rule` in words."""

    name: str
    rule: str
    value: float | None
    limit: float | None
    met: bool | None
    ratios: dict[str, float | None]
    """Crossover's figure over the peer's."""


STREAMS = 512


def goals(found: Figures, lag_seconds: float | None, most_tried: int = STREAMS) -> list[Goal]:
    """`most_tried`: streams; a run that tried no more than it carried does not know of the goal."""

    def of(name: str, system: str) -> float | None:
        figure = found.get(name, {}).get(system)
        return None if figure is None else figure.median

    def goal(name: str, rule: str, limit: float | None, at_least: bool = False) -> Goal:
        value = of(name, CROSSOVER)
        met = None if value is None or limit is None else value >= limit if at_least else value <= limit
        ratios = {peer: _ratio(value, of(name, peer)) for peer in COMPARED}
        return Goal(NAMES[name], rule, value, limit, met, ratios)

    def share(name: str, most: float) -> Goal:
        rival = of(name, RIVAL)
        return goal(name, f"at most {most:g} of {RIVAL}'s", None if rival is None else most * rival)

    idle = of("rss_idle", CROSSOVER)
    lag = None if lag_seconds is None else lag_seconds * 1e3
    return [
        share("cpu_request_32", 0.8),
        share("cpu_long", 0.8),
        share("cpu_chunk_64", 1.0),
        share("ttft_1_p50", 1.0),
        share("ttft_32_p50", 1.0),
        goal("streams", f"at least {STREAMS}", STREAMS if most_tried >= STREAMS else None, at_least=True),
        goal("rss_idle", "at most 80", 80.0),
        goal("rss_recovered", "at most 1.1 of idle", None if idle is None else 1.1 * idle),
        Goal("event loop lag under full load, p99, ms", "below 20", lag, 20.0, None if lag is None else lag < 20.0, {}),
    ]


def _ratio(value: float | None, other: float | None) -> float | None:
    """None where it would say nothing: something is unknown, or not above zero."""
    return None if value is None or other is None or other <= 0 or value < 0 else value / other


def errors(results: Results) -> dict[str, dict[str, int]]:
    """Of the rounds, by system and reason; the paced streams' own are in their steps."""
    found: dict[str, dict[str, int]] = {}
    for sample in results.samples:
        for why, times in sample.errors.items():
            of = found.setdefault(sample.system, {})
            of[why] = of.get(why, 0) + times
    return found
