"""Everything the economics say about a set of paths, computed once, and its JSON form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from gateway.economics.crossover import Crossover, SpeedRatio, crossovers, speed_ratios
from gateway.economics.decision import (
    UTILIZATIONS,
    AcceptedAnswer,
    Cheapest,
    DecisionRow,
    accepted_answers,
    decision_table,
)
from gateway.economics.path import Capacity, Path
from gateway.economics.serving import ServingRow, serving_row


@dataclass(frozen=True, slots=True)
class Ranking:
    """The paths whose quality was measured, cheapest first, by both yardsticks at one utilisation.

    Each entry holds the paths that cost the same.
    """

    utilization: Fraction
    by_token: tuple[tuple[str, ...], ...]
    by_accepted_answer: tuple[tuple[str, ...], ...]

    @property
    def differs(self) -> bool:
        return self.by_token != self.by_accepted_answer


@dataclass(frozen=True, slots=True)
class Report:
    capacity: Capacity
    input_tokens_per_output_token: Fraction
    utilization: Fraction
    rows: tuple[ServingRow, ...]
    crossovers: tuple[Crossover, ...]
    speed_ratios: tuple[SpeedRatio, ...]
    accepted_answers: tuple[AcceptedAnswer, ...]
    rankings: tuple[Ranking, ...]
    decision_table: tuple[DecisionRow, ...]


def report(
    paths: Sequence[Path],
    capacity: Capacity = "single",
    input_tokens_per_output_token: Fraction = Fraction(0),
    utilization: Fraction = Fraction(1),
) -> Report:
    mix = input_tokens_per_output_token
    return Report(
        capacity=capacity,
        input_tokens_per_output_token=mix,
        utilization=utilization,
        rows=tuple(serving_row(path, capacity, mix) for path in paths),
        crossovers=tuple(crossovers(paths, capacity, mix)),
        speed_ratios=tuple(speed_ratios(paths)),
        accepted_answers=tuple(accepted_answers(paths, utilization, capacity, mix)),
        rankings=tuple(
            ranking(accepted_answers(paths, busy, capacity, mix), busy) for busy in sorted({*UTILIZATIONS, utilization})
        ),
        decision_table=tuple(decision_table(paths, capacity, mix)),
    )


def ranking(answers: Sequence[AcceptedAnswer], utilization: Fraction) -> Ranking:
    def order(rank: Callable[[AcceptedAnswer], int | None]) -> tuple[tuple[str, ...], ...]:
        places = sorted({place for row in answers if (place := rank(row)) is not None})
        return tuple(tuple(row.path for row in answers if rank(row) == place) for place in places)

    return Ranking(utilization, order(lambda row: row.token_rank), order(lambda row: row.accepted_rank))


# -- JSON: floats of dollars at full precision, null where unknown ---------------------------------------------------


def as_json(report: Report) -> dict[str, Any]:
    """The contract of `crossover economics --json`."""
    return {
        "basis": {
            "cost": "average, reservation basis: all the dollars of the period per token served",
            "capacity": report.capacity,
            "input_tokens_per_output_token": float(report.input_tokens_per_output_token),
            "hours_per_month": 730,
            "utilization": float(report.utilization),
        },
        "paths": [_path(row, report.utilization) for row in report.rows],
        "crossovers": [_crossover(one) for one in report.crossovers],
        "speed_ratios": [
            {"name": one.name, "against": one.against, "ratio": float(one.ratio)} for one in report.speed_ratios
        ],
        "accepted_answers": [_accepted(one) for one in report.accepted_answers],
        "rankings": [
            {
                "utilization": float(one.utilization),
                "by_usd_per_token": [list(same) for same in one.by_token],
                "by_usd_per_accepted_answer": [list(same) for same in one.by_accepted_answer],
                "differs": one.differs,
            }
            for one in report.rankings
        ],
        "decision_table": [_decision(one) for one in report.decision_table],
        "prices": [
            {
                "name": row.path.name,
                "region": row.path.price.region,
                "as_of": row.path.price.as_of,
                "source": row.path.price.source,
            }
            for row in report.rows
        ],
    }


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def _path(row: ServingRow, utilization: Fraction) -> dict[str, Any]:
    path, band = row.path, row.band
    return {
        "name": path.name,
        "description": path.description,
        "simulated": path.simulated,
        "cost_kind": row.cost_kind,
        "usd_per_1m_tokens": _float(row.average.usd_per_1m_tokens),
        "divided_by": row.average.divided_by,
        "usd_per_1m_tokens_at_utilization": _float(row.average.at(utilization)),
        "reservation_usd_per_1m_tokens": _float(row.average.at(utilization)),
        "usage_usd_per_1m_tokens": _float(row.average.at(Fraction(1))),
        "tokens_per_second": float(row.tokens_per_second),
        "single_stream_tokens_per_second": float(path.single_stream_tokens_per_second),
        "max_tokens_per_second": float(path.max_tokens_per_second),
        "speed_assumed": path.speed_assumed,
        "custom_weights": path.custom_weights,
        "accepted_rate": _float(path.quality.accepted_rate) if path.quality else None,
        "usd_per_month": _float(row.usd_per_month),
        "usd_per_window": _float(row.usd_per_window),
        "band": None
        if band is None
        else {
            "low_usd_per_month": float(band.low_usd_per_month),
            "high_usd_per_month": float(band.high_usd_per_month),
            "low_usd_per_1m_tokens": float(band.low_usd_per_1m_tokens),
            "high_usd_per_1m_tokens": float(band.high_usd_per_1m_tokens),
        },
    }


def _crossover(one: Crossover) -> dict[str, Any]:
    return {
        "box": one.box,
        "against": one.against,
        "utilization": _float(one.utilization),
        "wins": one.wins,
        "low_utilization": _float(one.low),
        "high_utilization": _float(one.high),
        "against_usd_per_1m_tokens": _float(one.against_usd_per_1m_tokens),
        "against_duty": _float(one.against_busy),
        "same_weights": one.same_weights,
    }


def _accepted(one: AcceptedAnswer) -> dict[str, Any]:
    return {
        "path": one.path,
        "utilization": float(one.utilization),
        "usd_per_1m_tokens": _float(one.usd_per_1m_tokens),
        "accepted_rate": _float(one.accepted_rate),
        "usd_per_answer": _float(one.usd_per_answer),
        "usd_per_accepted_answer": _float(one.usd_per_accepted_answer),
        "token_rank": one.token_rank,
        "accepted_rank": one.accepted_rank,
    }


def _decision(row: DecisionRow) -> dict[str, Any]:
    def cheapest(one: Cheapest | None, unit: str) -> dict[str, Any] | None:
        return None if one is None else {"name": one.name, unit: float(one.usd)}

    return {
        "utilization": float(row.utilization),
        "cheapest": cheapest(row.per_token, "usd_per_1m_tokens"),
        "cheapest_custom": cheapest(row.per_token_custom, "usd_per_1m_tokens"),
        "cheapest_accepted_answer": cheapest(row.per_accepted_answer, "usd_per_accepted_answer"),
        "cheapest_accepted_answer_custom": cheapest(row.per_accepted_answer_custom, "usd_per_accepted_answer"),
    }
