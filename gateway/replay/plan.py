"""What to buy: the replays of a policy's variations, the cheapest that keeps to the error budget, and break-evens.

The price of an owned box moves no decision (what is paid anyway is not marginal), so where only that price is asked for
the runs give the answer exactly: a box is worth what the rest of the bill falls by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.policy.schema import AmortizedSettings
from gateway.replay.comparison import SCHEMA, policy_json
from gateway.replay.results import Comparison, Result, compare
from gateway.replay.statistics import LEAST_DAYS
from gateway.replay.variations import Variation, box_count


@dataclass(frozen=True, slots=True)
class Row:
    variation: Variation
    result: Result
    against_today: Comparison
    within_budget: bool

    @property
    def name(self) -> str:
        return self.variation.name


@dataclass(frozen=True, slots=True)
class BreakEven:
    """The $ a month below which the `number`th box pays for itself. `fair` False: with it or without it more requests
    are bad than the budget allows, so that dollars alone do not tell what it is worth."""

    number: int
    usd_per_month: float
    bad_without: float
    bad_with: float
    fair: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """To 'buy one more box?'."""

    buy: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Plan:
    title: str
    """Whose traffic, how much of it."""
    error_budget: float
    rows: tuple[Row, ...]
    """The first is the policy as it stands."""
    break_evens: tuple[BreakEven, ...]
    answer: Answer | None
    """None: no variation has one box more than today."""
    box_utilization: float | None
    """Output tokens that the owned boxes made today, over what they can make; None: no box."""
    offered_utilization: float | None
    """The same, had they made all of the trace's."""
    input_tokens_per_output_token: float
    notes: tuple[str, ...]

    @property
    def today(self) -> Row:
        return self.rows[0]

    @property
    def cheapest(self) -> Row | None:
        """Within the error budget."""
        kept = [row for row in self.rows if row.within_budget]
        return min(kept, key=lambda row: row.result.usd_per_month, default=None)


def plan(
    title: str,
    runs: Sequence[tuple[Variation, Result]],
    *,
    error_budget: float,
    box_utilization: float | None,
    offered_utilization: float | None,
    input_tokens_per_output_token: float,
    notes: Sequence[str] = (),
) -> Plan:
    """`runs`: the policy as it stands first."""
    today = runs[0][1]
    rows = tuple(
        Row(variation, result, compare(result, today), result.bad <= error_budget) for variation, result in runs
    )
    counts = _by_boxes(rows)
    now = box_count(rows[0].variation.policy)
    evens = [
        _break_even(number, counts[number - 1], counts[number]) for number in sorted(counts) if number - 1 in counts
    ]
    more = counts.get(now + 1)
    return Plan(
        title=title,
        error_budget=error_budget,
        rows=rows,
        break_evens=tuple(evens),
        answer=None if more is None else _answer(now, rows[0], more, evens, error_budget),
        box_utilization=box_utilization,
        offered_utilization=offered_utilization,
        input_tokens_per_output_token=input_tokens_per_output_token,
        notes=tuple(notes),
    )


def _by_boxes(rows: Sequence[Row]) -> dict[int, Row]:
    """The runs that differ from today in the number of boxes alone."""
    counts = {box_count(rows[0].variation.policy): rows[0]}
    for row in rows[1:]:
        if len(row.variation.changes) == 1 and row.variation.changes[0].setting == "boxes":
            counts.setdefault(box_count(row.variation.policy), row)
    return counts


def without_boxes_usd(row: Row) -> float:
    """$ a month of all but the owned boxes."""
    owned = sum(one.flat_usd_per_month for one in row.result.backends if _owned(row, one.name))
    return row.result.usd_per_month - owned


def _owned(row: Row, name: str) -> bool:
    backend = row.variation.policy.backends.get(name)
    return backend is not None and isinstance(backend.cost, AmortizedSettings)


def _break_even(number: int, fewer: Row, more: Row) -> BreakEven:
    return BreakEven(
        number=number,
        usd_per_month=without_boxes_usd(fewer) - without_boxes_usd(more),
        bad_without=fewer.result.bad,
        bad_with=more.result.bad,
        fair=fewer.within_budget and more.within_budget,
    )


def _answer(now: int, today: Row, more: Row, evens: Sequence[BreakEven], budget: float) -> Answer:
    before, after = today.result, more.result
    change = more.against_today
    cheaper = change.usd_per_month < 0
    mends = today.result.bad > budget >= after.bad
    buy = (cheaper and (after.bad <= budget or after.bad <= before.bad)) or mends
    even = next(one for one in evens if one.number == now + 1)
    ordinal = {1: "a first", 2: "a second", 3: "a third"}.get(now + 1, f"a {now + 1}th")
    interval = change.usd_interval
    sure = ""
    if interval is None:
        sure = f" (no interval: fewer than {LEAST_DAYS} whole days)"
    else:
        sure = f" (95% by days: {_dollars(interval.low)} to {_dollars(interval.high)})"
        if not interval.excludes_zero:
            sure += ", which these days cannot tell from nothing"
    verdict = "Yes" if buy else "No"
    if mends and not cheaper:
        verdict = f"Yes, to keep to the error budget of {budget * 100:g}%"
    worth = f"it is worth {_dollars(max(even.usd_per_month, 0.0))} a month"
    if after.bad < before.bad and before.bad > budget:
        worth += ", and more where fewer bad requests are worth something"
    return Answer(
        buy,
        f"Buy {ordinal} box? {verdict}: the bill goes from {_dollars(before.usd_per_month)} to "
        f"{_dollars(after.usd_per_month)} a month, a change of {_signed(change.usd_per_month)}{sure}, and bad requests "
        f"from {before.bad:.2%} to {after.bad:.2%}; {worth}.",
    )


def _dollars(usd: float) -> str:
    return f"-${-usd:,.0f}" if usd < -0.5 else f"${abs(usd):,.0f}"


def _signed(usd: float) -> str:
    return f"{'+' if usd >= 0 else '-'}${abs(usd):,.0f}"


# -- JSON --------------------------------------------------------------------------------------------------------------


def as_json(plan: Plan) -> dict[str, Any]:
    """The contract of `crossover plan --json`: dollars a month, shares 0 to 1, null where unknown."""
    return {
        "schema": SCHEMA,
        "simulated": True,
        "title": plan.title,
        "error_budget": plan.error_budget,
        "cheapest_within_budget": plan.cheapest.name if plan.cheapest else None,
        "box_utilization": plan.box_utilization,
        "offered_utilization": plan.offered_utilization,
        "input_tokens_per_output_token": plan.input_tokens_per_output_token,
        "break_even": [
            {
                "box": one.number,
                "usd_per_month": one.usd_per_month,
                "bad_without": one.bad_without,
                "bad_with": one.bad_with,
                "budget_kept": one.fair,
            }
            for one in plan.break_evens
        ],
        "buy_one_more_box": None if plan.answer is None else {"buy": plan.answer.buy, "sentence": plan.answer.sentence},
        "variations": [_row(row) for row in plan.rows],
        "notes": list(plan.notes),
    }


def _row(row: Row) -> dict[str, Any]:
    usd = row.against_today.usd_interval
    return {
        "name": row.name,
        "changes": {change.setting: change.value for change in row.variation.changes},
        "within_error_budget": row.within_budget,
        "change_usd_per_month": row.against_today.usd_per_month,
        "change_usd_per_month_interval": None if usd is None else [usd.low, usd.high],
        "change_bad": row.against_today.bad,
        **policy_json(row.result),
    }
