"""Which path is cheapest: per token, and per accepted answer, at each utilisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from gateway.economics.path import Capacity, Path
from gateway.economics.serving import MILLION, average_cost

UTILIZATIONS = tuple(Fraction(percent, 100) for percent in (1, 5, 10, 20, 30, 50, 80, 100))


@dataclass(frozen=True, slots=True)
class AcceptedAnswer:
    """What an answer costs, and an accepted one, at one utilisation. None: price or quality unknown.

    Ranks count from 1 over the paths whose quality was measured; equal costs share a rank.
    """

    path: str
    utilization: Fraction
    usd_per_1m_tokens: Fraction | None
    accepted_rate: Fraction | None
    usd_per_answer: Fraction | None
    usd_per_accepted_answer: Fraction | None
    token_rank: int | None
    accepted_rank: int | None


@dataclass(frozen=True, slots=True)
class Cheapest:
    """`usd`: per 1M output tokens, or per accepted answer, as the column says."""

    name: str
    usd: Fraction


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """The cheapest path at one utilisation; None where no path has a known price (or a measured quality)."""

    utilization: Fraction
    per_token: Cheapest | None
    per_token_custom: Cheapest | None
    """Among the paths that serve custom weights."""
    per_accepted_answer: Cheapest | None
    per_accepted_answer_custom: Cheapest | None


def accepted_answers(
    paths: Sequence[Path],
    utilization: Fraction,
    capacity: Capacity = "single",
    input_tokens_per_output_token: Fraction = Fraction(0),
) -> list[AcceptedAnswer]:
    """$ per accepted answer = $ per token x tokens per answer / accepted rate.

    Every path that is billed while idle is taken to be busy the same share of its time: `utilization`.
    """
    costs: dict[str, tuple[Fraction | None, Fraction | None, Fraction | None]] = {}
    for path in paths:
        per_1m = average_cost(path, capacity, input_tokens_per_output_token).at(utilization)
        answer = accepted = None
        if per_1m is not None and path.quality is not None:
            answer = per_1m / MILLION * path.quality.tokens_per_answer
            accepted = answer / path.quality.accepted_rate
        costs[path.name] = (per_1m, answer, accepted)
    judged = {name: cost for name, cost in costs.items() if cost[2] is not None}
    token_ranks = _ranks({name: cost[0] for name, cost in judged.items()})
    accepted_ranks = _ranks({name: cost[2] for name, cost in judged.items()})
    return [
        AcceptedAnswer(
            path=path.name,
            utilization=utilization,
            usd_per_1m_tokens=costs[path.name][0],
            accepted_rate=path.quality.accepted_rate if path.quality else None,
            usd_per_answer=costs[path.name][1],
            usd_per_accepted_answer=costs[path.name][2],
            token_rank=token_ranks.get(path.name),
            accepted_rank=accepted_ranks.get(path.name),
        )
        for path in paths
    ]


def decision_table(
    paths: Sequence[Path],
    capacity: Capacity = "single",
    input_tokens_per_output_token: Fraction = Fraction(0),
    utilizations: Sequence[Fraction] = UTILIZATIONS,
) -> list[DecisionRow]:
    """The cheapest path at each utilisation, all paths billed while idle being busy that share of their time."""
    custom = {path.name for path in paths if path.custom_weights}
    table = []
    for utilization in utilizations:
        rows = accepted_answers(paths, utilization, capacity, input_tokens_per_output_token)
        own = [row for row in rows if row.path in custom]
        table.append(
            DecisionRow(
                utilization=utilization,
                per_token=_cheapest(rows, lambda row: row.usd_per_1m_tokens),
                per_token_custom=_cheapest(own, lambda row: row.usd_per_1m_tokens),
                per_accepted_answer=_cheapest(rows, lambda row: row.usd_per_accepted_answer),
                per_accepted_answer_custom=_cheapest(own, lambda row: row.usd_per_accepted_answer),
            )
        )
    return table


def _cheapest(rows: Sequence[AcceptedAnswer], cost: Callable[[AcceptedAnswer], Fraction | None]) -> Cheapest | None:
    """The first of the cheapest: ties go to the path written first in the policy."""
    known = [Cheapest(row.path, value) for row in rows if (value := cost(row)) is not None]
    return min(known, key=lambda one: one.usd, default=None)


def _ranks(costs: dict[str, Fraction | None]) -> dict[str, int]:
    known = {name: cost for name, cost in costs.items() if cost is not None}
    return {name: 1 + sum(other < cost for other in known.values()) for name, cost in known.items()}
