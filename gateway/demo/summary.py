"""What the demo's traffic cost on each path, and where the crossover lies. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import Any

from gateway.demo.load import Answer
from gateway.economics.crossover import crossover_utilization
from gateway.economics.path import Path
from gateway.economics.prices import AmortizedCost
from gateway.economics.serving import average_cost
from gateway.policy.schema import Policy


@dataclass(frozen=True, slots=True)
class PathRow:
    """One backend over the run. Dollars are all it cost from the gateway's start to the end of the traffic."""

    name: str
    simulated: bool
    owned: bool
    """Paid busy or idle, so that its utilization means something."""
    requests: int
    input_tokens: int
    output_tokens: int
    nanousd: int
    windows: int
    ttft_seconds: float | None
    """Median, as the client saw it; streams only."""

    @property
    def usd(self) -> float:
        return self.nanousd / 1e9

    @property
    def usd_per_1m_tokens(self) -> float | None:
        """Per 1M output tokens; None without any."""
        return self.usd / self.output_tokens * 1e6 if self.output_tokens else None


@dataclass(frozen=True, slots=True)
class CrossoverRow:
    """Above `utilization` of its measured capacity the box is the cheaper one. `measured`: what it was in this run."""

    box: str
    against: str
    utilization: float
    measured: float


def path_rows(
    books: Mapping[str, Mapping[str, Any]], paths: Sequence[Path], answers: Sequence[Answer]
) -> list[PathRow]:
    rows = []
    for path in paths:
        book = books.get(path.name, {})
        seen = [a.ttft_seconds for a in answers if a.backend == path.name and a.ttft_seconds is not None]
        rows.append(
            PathRow(
                path.name,
                path.simulated,
                isinstance(path.cost, AmortizedCost),
                book.get("requests", 0),
                book.get("input_tokens", 0),
                book.get("output_tokens", 0),
                book.get("nanousd", 0),
                book.get("windows", 0),
                median(seen) if seen else None,
            )
        )
    return rows


def crossover_rows(paths: Sequence[Path], rows: Sequence[PathRow], seconds: float) -> list[CrossoverRow]:
    """The box at the capacity that was measured, against one stream of each other path. `seconds`: of the traffic."""
    served = {row.name: row.output_tokens for row in rows}
    found = []
    for box in paths:
        full = average_cost(box, "max").usd_per_1m_tokens
        if not isinstance(box.cost, AmortizedCost) or full is None:
            continue
        measured = served[box.name] / seconds / float(box.max_tokens_per_second) if seconds else 0.0
        for other in paths:
            price = None if other is box else average_cost(other, "single", Fraction(0)).usd_per_1m_tokens
            at = crossover_utilization(full, price)
            if at is not None:
                found.append(CrossoverRow(box.name, other.name, float(at), measured))
    return found


def in_time_shares(policy: Policy, answers: Sequence[Answer]) -> dict[str, float | None]:
    """Share of each backend's answers within their alias's ceilings, as the client saw them."""
    kept: dict[str, list[bool]] = {}
    for answer in answers:
        ceiling = policy.aliases[answer.planned.question.alias].ceiling
        late_start = (
            ceiling.ttft_seconds is not None
            and answer.ttft_seconds is not None
            and answer.ttft_seconds > ceiling.ttft_seconds
        )
        late_end = ceiling.latency_seconds is not None and answer.seconds > ceiling.latency_seconds
        kept.setdefault(answer.backend, []).append(answer.error is None and not late_start and not late_end)
    return {backend: sum(values) / len(values) for backend, values in kept.items()}
