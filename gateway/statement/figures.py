"""All figures of a statement, worked out once: the ledger's rows and a policy in, frozen values out. Pure but for
`statement`, which reads them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from gateway.economics.decision import UTILIZATIONS, DecisionRow, decision_table
from gateway.economics.money import NanoUsd, nanousd
from gateway.economics.path import Path
from gateway.policy.paths import serving_paths
from gateway.policy.schema import Policy, WindowSettings
from gateway.statement.ceilings import Judged, Routed, by_alias, by_reason, judged, worst_hours
from gateway.statement.covered import Covered, NotAccrued, not_accrued, union
from gateway.statement.crossing import Crossing, crossings, utilization_by_hour
from gateway.statement.flow import flow, read_attempts
from gateway.statement.fullness import Windows, fullness
from gateway.statement.ledger_rows import Abilities, Books, covered_part, read_books
from gateway.statement.period import Period, iso
from gateway.statement.savings import Savings, savings
from gateway.statement.serving import Measured, measured, usd_per_1m
from gateway.statement.spend import Share, Step, over_time, shares

SECONDS_PER_MONTH = 730 * 3600


@dataclass(frozen=True, slots=True)
class Decisions:
    """The cheapest path by how busy paths are, at the speeds that were measured."""

    rows: tuple[DecisionRow, ...]
    here: tuple[tuple[str, Fraction], ...]
    """Boxes, and the share of the time that each was busy in this period: a row of the table each."""
    measured: tuple[tuple[str, float], ...]
    """Paths whose speed was measured, in output tokens/s while busy."""
    assumed: tuple[str, ...]
    mix: Fraction


@dataclass(frozen=True, slots=True)
class Statement:
    """`period`: as it was asked for, and `covers`, the part of it in which the ledger knows anything."""

    period: Period
    covers: Period
    policy_hash: str
    abilities: Abilities
    paths: tuple[Measured, ...]
    all_paths: tuple[Path, ...]
    crossings: tuple[Crossing, ...]
    hours: tuple[tuple[str, dict[int, float]], ...]
    """Of each box: utilization by hour."""
    steps: tuple[Step, ...]
    by_key: tuple[Share, ...]
    by_alias: tuple[Share, ...]
    savings: Savings | None
    error_budget: float
    ceilings: tuple[Judged, ...]
    all_judged: Judged
    worst_hours: tuple[tuple[int, Judged], ...]
    reasons: tuple[Routed, ...]
    windows: tuple[Windows, ...]
    decisions: Decisions
    not_accrued: tuple[NotAccrued, ...]
    gateway_time: Covered
    """When a gateway accrued the cost of anything; empty where nothing is paid by time."""
    budget_nanousd_per_month: NanoUsd | None
    busy_from: float | None
    """Busy time was written down only from here on; None: for all of the period, or not at all."""
    calls_without_operation: int

    @property
    def nanousd(self) -> NanoUsd:
        return sum(path.nanousd for path in self.paths)

    @property
    def requests(self) -> int:
        return self.all_judged.requests

    @property
    def input_tokens(self) -> int:
        return sum(path.input_tokens for path in self.paths)

    @property
    def output_tokens(self) -> int:
        return sum(path.output_tokens for path in self.paths)

    @property
    def usd_per_1m(self) -> Fraction | None:
        """Of all paths together; tokens without a price are left out."""
        return usd_per_1m(self.nanousd, sum(path.priced_output_tokens for path in self.paths))

    @property
    def unpriced_tokens(self) -> int:
        return sum(path.unpriced_tokens for path in self.paths)

    @property
    def measured_seconds(self) -> float:
        """Time that the dollars are of: in which a gateway accrued cost; where nothing accrues, all that is covered."""
        return self.gateway_time.seconds or self.covers.seconds

    @property
    def nanousd_per_month(self) -> NanoUsd | None:
        """At the rate of the time covered. None: less than an hour is no rate."""
        seconds = self.measured_seconds
        return round(Fraction(self.nanousd) * SECONDS_PER_MONTH / Fraction(seconds)) if seconds >= 3600 else None


class EmptyPeriodError(ValueError):
    """Nothing happened in it."""


def statement(connection: sqlite3.Connection, policy: Policy, period: Period) -> Statement:
    """Reads a ledger at one moment. Raises NoLedgerError, EmptyPeriodError, or sqlite3.Error."""
    connection.row_factory = None
    connection.execute("BEGIN")
    books = read_books(connection, period)
    if books.first_at is None or books.last_at is None:
        raise EmptyPeriodError("the ledger is empty: nothing was ever written to it")
    if books.empty:
        raise EmptyPeriodError(
            f"nothing happened from {iso(period.since)} to {iso(period.until)}: the ledger holds "
            f"{iso(books.first_at)} to {iso(books.last_at)}; choose --since and --until within"
        )
    covers = covered_part(period, books.first_at)
    concurrency = {
        name: settings.cost.concurrency_per_copy
        for name, settings in policy.backends.items()
        if isinstance(settings.cost, WindowSettings)
    }
    moved = flow(read_attempts(connection, period, books.windows), period, books.windows, concurrency)
    paths = measured(policy, books, moved, covers)
    all_paths = tuple(serving_paths(policy))
    saved_in, saved_paths = covers, paths
    saved_books: Books | None = books
    if books.elsewhere_from is not None:
        # Only what was priced elsewhere can be compared: both sides from the same moment on.
        if books.elsewhere_from < period.until:
            saved_in = Period(books.elsewhere_from, period.until)
            saved_books = read_books(connection, saved_in)
            saved_paths = measured(policy, saved_books, moved, saved_in)
        else:
            saved_books = None
    rows = books.answered
    return Statement(
        period=period,
        covers=covers,
        policy_hash=policy.fingerprint(),
        abilities=books.abilities,
        paths=paths,
        all_paths=all_paths,
        crossings=crossings(paths, all_paths, books.served, books.elsewhere if books.elsewhere_from is None else {}),
        hours=tuple((path.name, utilization_by_hour(path, books.served)) for path in paths if _is_box(path)),
        steps=over_time(books, covers),
        by_key=shares(books.served, paths, lambda row: row.key),
        by_alias=shares(books.served, paths, lambda row: row.alias),
        savings=None if saved_books is None else savings(saved_books, saved_paths, all_paths, saved_in),
        error_budget=policy.routing.error_budget,
        ceilings=by_alias(rows),
        all_judged=judged("all", rows),
        worst_hours=worst_hours(rows),
        reasons=by_reason(rows),
        windows=fullness(books.windows, moved, paths),
        decisions=_decisions(paths),
        not_accrued=_not_accrued(paths, books, period),
        gateway_time=union(path.covered for path in paths),
        budget_nanousd_per_month=_budget(policy),
        busy_from=books.busy_since if books.abilities.busy and not books.busy_whole else None,
        calls_without_operation=sum(row.attempts for row in books.served if row.key is None),
    )


def _is_box(path: Measured) -> bool:
    return path.cost_kind == "amortized" and path.covered.seconds > 0


def _not_accrued(paths: Sequence[Measured], books: Books, period: Period) -> tuple[NotAccrued, ...]:
    found = []
    for path in paths:
        since = books.accrued_since.get(path.name)
        if since is not None and since < period.until:
            gap = not_accrued(path.name, path.covered, since, period, None if path.path is None else path.path.cost)
            found += [] if gap is None else [gap]
    return tuple(found)


def _decisions(paths: Sequence[Measured]) -> Decisions:
    """Each path that can serve, at the speed it had while busy; where it served nothing, at the policy's speed of one
    stream."""
    can_serve = [one.path for one in paths if one.path is not None]
    speeds = {one.name: one.busy_tokens_per_second for one in paths if one.output_tokens and one.path is not None}
    quick = {name: speed for name, speed in speeds.items() if speed}
    at_speed = []
    for path in can_serve:
        speed = quick.get(path.name)
        if speed is None:
            at_speed.append(path)
        else:
            exact = Fraction(speed)
            at_speed.append(replace(path, single_stream_tokens_per_second=exact, max_tokens_per_second=exact))
    tokens = sum(one.output_tokens for one in paths)
    mix = Fraction(sum(one.input_tokens for one in paths), tokens) if tokens > 0 else Fraction(0)
    here = tuple(
        (one.name, min(Fraction(one.busy_share), Fraction(1)))
        for one in paths
        if _is_box(one) and one.busy_share is not None and one.busy_share > 0
    )
    shares_of_time = sorted({*UTILIZATIONS, *(share for _, share in here)})
    return Decisions(
        rows=tuple(decision_table(at_speed, "single", mix, shares_of_time)),
        here=here,
        measured=tuple(quick.items()),
        assumed=tuple(path.name for path in can_serve if path.name not in quick and path.cost is not None),
        mix=mix,
    )


def _budget(policy: Policy) -> NanoUsd | None:
    amount = policy.budget.usd_per_month
    return None if amount is None else nanousd(amount)
