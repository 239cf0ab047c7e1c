"""What a statement needs of the ledger: SQL in, frozen values out. Read-only; files of older versions are read as they
are, and what their tables do not have is said to be missing."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.economics.money import NanoUsd
from gateway.statement.period import Period

ALL = "*"
"""In `served_by` of a counterfactual: all traffic, on one path alone."""

ROW_SECONDS = 60.0
"""About how long a row of accrued money is."""

AFTER = """CASE WHEN {t} <= since THEN {n} WHEN {t} >= until THEN 0
  ELSE CAST({n} * ((until - {t}) / (until - since)) AS INTEGER) END"""
"""Of an amount that accrued evenly from `since` to `until`, what came after `t`: n$, rounded down. The amount of a
period is the difference of two of these, so that the amounts of neighbouring periods add up to the row."""


class NoLedgerError(ValueError):
    """The file holds no ledger."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the tables of this file can tell. `version`: of its schema."""

    version: int
    busy: bool
    """What of the cost accrued in busy time."""
    counterfactuals: bool
    held: bool
    """Which requests waited at the gateway."""
    verdicts: bool
    """Late and wrong told apart, and those turned away counted. Else: only which answers came in time."""

    @property
    def whole(self) -> bool:
        return self.busy and self.counterfactuals and self.verdicts


@dataclass(frozen=True, slots=True)
class Served:
    """Attempts of one backend, key and alias that began within one step of time (`at`: its start)."""

    backend: str
    key: str | None
    """None: no operation in the ledger goes with them (warm-up calls, a gateway that was killed)."""
    alias: str | None
    at: int
    attempts: int
    requests: int
    """Those that were answered."""
    input_tokens: int
    output_tokens: int
    unsure_tokens: int
    estimated: int
    missing: int
    """Attempts that may be billed, and whose usage nobody told."""
    unpriced_tokens: int
    unpriced_output_tokens: int
    nanousd: NanoUsd
    """Charged by the token."""


@dataclass(frozen=True, slots=True)
class Accrued:
    """What a box or a provisioned unit cost over one stretch of time."""

    run: str
    backend: str
    since: float
    until: float
    nanousd: NanoUsd
    busy_nanousd: NanoUsd
    """Of it, in the time with a request under way."""

    def within(self, period: Period, amount: NanoUsd | None = None) -> NanoUsd:
        """n$ of it in a period. `amount`: of the same row, instead of its cost."""
        whole = self.nanousd if amount is None else amount
        return self._after(period.since, whole) - self._after(period.until, whole)

    def _after(self, moment: float, amount: NanoUsd) -> NanoUsd:
        if moment <= self.since:
            return amount
        if moment >= self.until:
            return 0
        return int(amount * ((self.until - moment) / (self.until - self.since)))


@dataclass(frozen=True, slots=True)
class OpenedWindow:
    run: str
    backend: str
    copy: int
    number: int
    opened_at: float
    ends_at: float
    nanousd: NanoUsd


@dataclass(frozen=True, slots=True)
class Answered:
    """Operations of one alias, backend and reason that began within one hour."""

    alias: str
    backend: str | None
    reason: str
    hour: int
    requests: int
    failed: int
    held: int
    output_tokens: int
    in_time: int
    late: int
    wrong: int
    by_time_alone: int
    """Of the judged: written before verdicts were, so that nobody knows which were wrong."""


@dataclass(frozen=True, slots=True)
class Books:
    """One reading of the ledger: all of it at one moment, whatever the gateway writes meanwhile."""

    abilities: Abilities
    first_at: float | None
    """When the first thing in the whole ledger began; None: it is empty."""
    last_at: float | None
    served: Sequence[Served]
    first_answer_at: float | None
    """Of the period; `first_timed_answer_at`: by a backend whose time is paid."""
    first_timed_answer_at: float | None
    accrued: Sequence[Accrued]
    accrued_since: Mapping[str, float]
    """By backend, when its cost was first accrued in the whole ledger."""
    windows: Sequence[OpenedWindow]
    """Opened in the period."""
    window_carried: Mapping[str, NanoUsd]
    """By imported model, what fell into the period of windows that opened before it: n$ that are in no sum of it."""
    window_busy: Mapping[str, NanoUsd]
    """Of imported models, n$ that accrued in busy time."""
    elsewhere: Mapping[tuple[str, str], NanoUsd]
    """By (served_by, priced_as): what the same tokens would have cost there; `ALL`: all traffic."""
    elsewhere_since: float | None
    """When the first such row of the whole ledger began."""
    busy_since: float | None
    """When the first cost of busy time was written, in the whole ledger."""
    answered: Sequence[Answered]

    @property
    def busy_whole(self) -> bool:
        """Busy time was written down for all of the period, not only since the file's version was raised."""
        return self.abilities.busy and not _after(self.busy_since, self.first_timed_answer_at)

    @property
    def elsewhere_from(self) -> float | None:
        """Traffic of the period before this moment was never priced elsewhere; None: all was, or nothing."""
        return self.elsewhere_since if _after(self.elsewhere_since, self.first_answer_at) else None

    @property
    def empty(self) -> bool:
        return not (self.served or self.accrued or self.windows or self.answered)


def read_books(connection: sqlite3.Connection, period: Period) -> Books:
    """Call it within one transaction of a read-only connection. Raises NoLedgerError."""
    abilities = _abilities(connection)
    first, last = connection.execute(
        """SELECT MIN(a), MAX(b) FROM (
             SELECT MIN(started_at) AS a, MAX(started_at) AS b FROM attempts
             UNION ALL SELECT MIN(started_at), MAX(started_at) FROM operations
             UNION ALL SELECT MIN(opened_at), MAX(opened_at) FROM windows
             UNION ALL SELECT MIN(since), MAX(until) FROM accruals)"""
    ).fetchone()
    span = {"since": period.since, "until": period.until}
    step_seconds = min(covered_part(period, first).step_seconds, 3600)
    return Books(
        abilities=abilities,
        first_at=first,
        last_at=last,
        served=_served(connection, span, step_seconds),
        first_answer_at=connection.execute(
            """SELECT MIN(started_at) FROM attempts WHERE started_at >= :since AND started_at < :until
                 AND (outcome = 'ok' OR output_tokens > 0)""",
            span,
        ).fetchone()[0],
        first_timed_answer_at=connection.execute(
            """SELECT MIN(started_at) FROM attempts WHERE started_at >= :since AND started_at < :until
                 AND (outcome = 'ok' OR output_tokens > 0)
                 AND backend IN (SELECT backend FROM accruals UNION SELECT backend FROM windows)""",
            span,
        ).fetchone()[0],
        accrued=_accrued(connection, span, abilities),
        accrued_since={
            str(name): at for name, at in connection.execute("SELECT backend, MIN(since) FROM accruals GROUP BY 1")
        },
        windows=[
            OpenedWindow(*row)
            for row in connection.execute(
                """SELECT run, backend, copy, number, opened_at, ends_at, nanousd FROM windows
                   WHERE opened_at >= :since AND opened_at < :until ORDER BY opened_at, copy""",
                span,
            )
        ],
        window_carried=dict(
            connection.execute(
                """SELECT backend, SUM(CAST(nanousd * ((MIN(ends_at, :until) - :since) / (ends_at - opened_at))
                     AS INTEGER))
                   FROM windows WHERE opened_at < :since AND ends_at > :since GROUP BY backend""",
                span,
            ).fetchall()
        ),
        window_busy=_shared(connection, "window_busy", "backend", span) if abilities.busy else {},
        elsewhere=_elsewhere(connection, span) if abilities.counterfactuals else {},
        elsewhere_since=connection.execute("SELECT MIN(since) FROM counterfactuals").fetchone()[0]
        if abilities.counterfactuals
        else None,
        busy_since=_busy_since(connection) if abilities.busy else None,
        answered=_answered(connection, span, abilities),
    )


def covered_part(period: Period, first_at: float | None) -> Period:
    """What of a period the ledger can know: not the time before its first row."""
    if first_at is None or first_at >= period.until:
        return period
    return Period(max(period.since, first_at), period.until)


def _abilities(connection: sqlite3.Connection) -> Abilities:
    def columns(table: str) -> set[str]:
        return {str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")}

    needed = {"meta", "operations", "attempts", "windows", "accruals"}
    if lacking := [table for table in sorted(needed) if not columns(table)]:
        raise NoLedgerError(f"no ledger: it has no table {', '.join(lacking)}")
    row = connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()
    return Abilities(
        version=int(row[0]) if row is not None else 1,
        busy="busy_nanousd" in columns("accruals") and bool(columns("window_busy")),
        counterfactuals=bool(columns("counterfactuals")),
        verdicts="verdict" in columns("operations"),
        held="held_seconds" in columns("operations"),
    )


def _served(connection: sqlite3.Connection, span: dict[str, float], step_seconds: int) -> list[Served]:
    # What may be billed though nobody told its tokens: answered, or begun to be, or of a price that is unknown.
    rows = connection.execute(
        """SELECT a.backend, o.key, o.alias, CAST(a.started_at / :step AS INTEGER) * :step,
             COUNT(*), SUM(a.outcome = 'ok'), SUM(a.input_tokens), SUM(a.output_tokens),
             SUM(CASE WHEN a.certainty <> 'exact' THEN a.input_tokens + a.output_tokens ELSE 0 END),
             SUM(a.certainty = 'estimated'),
             SUM(a.certainty = 'missing' AND (a.outcome IN ('ok', 'cancelled', 'timeout')
               OR a.ttft_seconds IS NOT NULL OR a.nanousd IS NULL)),
             SUM(CASE WHEN a.nanousd IS NULL THEN a.input_tokens + a.output_tokens ELSE 0 END),
             SUM(CASE WHEN a.nanousd IS NULL THEN a.output_tokens ELSE 0 END), SUM(COALESCE(a.nanousd, 0))
           FROM attempts AS a LEFT JOIN operations AS o ON o.id = a.operation_id
           WHERE a.started_at >= :since AND a.started_at < :until GROUP BY 1, 2, 3, 4 ORDER BY 4, 1, 2, 3""",
        {**span, "step": step_seconds},
    )
    return [Served(*row) for row in rows]


def _accrued(connection: sqlite3.Connection, span: dict[str, float], abilities: Abilities) -> list[Accrued]:
    busy = "busy_nanousd" if abilities.busy else "0"
    rows = connection.execute(
        f"""SELECT run, backend, since, until, nanousd, {busy} FROM accruals
            WHERE until > :since AND since < :until AND until > since ORDER BY since""",  # noqa: S608  a column's name
        span,
    )
    return [Accrued(*row) for row in rows]


def _busy_since(connection: sqlite3.Connection) -> float | None:
    at: float | None = connection.execute(
        """SELECT MIN(since) FROM (SELECT MIN(since) AS since FROM accruals WHERE busy_nanousd > 0
             UNION ALL SELECT MIN(since) FROM window_busy WHERE nanousd > 0)"""
    ).fetchone()[0]
    return at


def _after(began: float | None, first_answer: float | None) -> bool:
    """Something that is written with the traffic began well after it: rows are of a minute."""
    return began is not None and first_answer is not None and began > first_answer + 2 * ROW_SECONDS


def _shared(connection: sqlite3.Connection, table: str, by: str, span: dict[str, float]) -> dict[Any, NanoUsd]:
    """Amounts of a table that has since, until and nanousd: of each row its share of the period."""
    amount = f"{AFTER.format(t=':since', n='nanousd')} - {AFTER.format(t=':until', n='nanousd')}"
    rows = connection.execute(
        f"""SELECT {by}, SUM({amount}) FROM {table} WHERE until > :since AND since < :until
            GROUP BY {by} ORDER BY {by}""",  # noqa: S608  names of our own
        span,
    )
    return {(row[0] if "," not in by else tuple(row[:-1])): row[-1] for row in rows.fetchall()}


def _elsewhere(connection: sqlite3.Connection, span: dict[str, float]) -> dict[tuple[str, str], NanoUsd]:
    return _shared(connection, "counterfactuals", "served_by, priced_as", span)


def _answered(connection: sqlite3.Connection, span: dict[str, float], abilities: Abilities) -> list[Answered]:
    # A row without a verdict says nothing of the budget, unless it is older than verdicts: then its ceilings do.
    told = "verdict" if abilities.verdicts else "NULL"
    verdict = f"""COALESCE({told}, CASE WHEN outcome = 'timeout' THEN 'late' WHEN outcome <> 'ok' THEN NULL
      WHEN in_time = 0 THEN 'late' ELSE 'in_time' END)"""
    rows = connection.execute(
        f"""SELECT alias, backend, reason, hour, COUNT(*), SUM(outcome <> 'ok'), SUM(held_seconds > 0),
              SUM(output_tokens), COUNT(verdict) FILTER (WHERE verdict = 'in_time'),
              COUNT(verdict) FILTER (WHERE verdict = 'late'), COUNT(verdict) FILTER (WHERE verdict = 'wrong'),
              COUNT(verdict) FILTER (WHERE told IS NULL)
            FROM (SELECT alias, backend, reason, CAST(started_at / 3600 AS INTEGER) * 3600 AS hour, outcome,
                    {"held_seconds" if abilities.held else "0 AS held_seconds"}, output_tokens, {told} AS told,
                    {verdict} AS verdict
                  FROM operations WHERE started_at >= :since AND started_at < :until)
            GROUP BY 1, 2, 3, 4 ORDER BY 4, 1, 2, 3""",  # noqa: S608  columns of our own
        span,
    )
    return [Answered(*row) for row in rows]
