"""What each answer cost, by the gateway's own ledger.

The gateway's headers name each request (`x-crossover-decision`) and say nothing of money: its ledger does. Tokens that
are paid by the token have their charge there, request by request. A box or a copy of an imported model is paid by time:
what it cost while it was busy with these requests (the usage basis) is shared by all that it answered then, by their
output tokens. An idle hour of a box is in no answer's cost.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.metering.ledger import reading
from trainer.gate.errors import LedgerUnreadableError
from trainer.gate.schema import Answer

Span = tuple[float, float]
"""Wall clock, seconds since 1970."""
NANO = 1e9
SETTLE_SECONDS = 5.0
"""The gateway writes its ledger a moment after it answers: so long an answer's line is waited for."""
_POLL_SECONDS = 0.2
_IDS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Sent:
    """One request to one backend. `nanousd`: its tokens at list price, 0 where time is paid, None: unknown."""

    operation: str
    backend: str
    span: Span
    output_tokens: int
    nanousd: int | None


@dataclass(frozen=True, slots=True)
class Rate:
    """What time costs: n$ a second over a span."""

    span: Span
    nanousd_per_second: float


async def priced(answers: Sequence[Answer], ledger: str | Path, settle_seconds: float = SETTLE_SECONDS) -> list[Answer]:
    """The answers with their `usd`, where the ledger knows it; the others as they were.

    Raises LedgerUnreadableError where the file cannot be read, or is no gateway's ledger.
    """
    wanted = {answer.decision for answer in answers if answer.decision is not None}
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settle_seconds
    while True:
        sent = await asyncio.to_thread(_read_sent, ledger, wanted)
        beside, rates = await asyncio.to_thread(_read_beside, ledger, sent)
        written = wanted <= {one.operation for one in sent} and not any(_is_unpriced(one, rates) for one in sent)
        if written or loop.time() >= deadline:
            break
        await asyncio.sleep(_POLL_SECONDS)
    costs = cost_of(sent, beside, rates)
    return [
        answer if (nanousd := costs.get(answer.decision or "")) is None
        else msgspec.structs.replace(answer, usd=nanousd / NANO)
        for answer in answers
    ]  # fmt: skip


def cost_of(
    sent: Sequence[Sent], beside: Mapping[str, Sequence[Sent]], rates: Mapping[str, Sequence[Rate]]
) -> dict[str, float | None]:
    """n$ of each operation in `sent`; None: a price is unknown. Pure.

    beside: by backend, everything that it was sent while it worked on `sent`, these included. rates: of the backends
    that are paid by time; those that are not named are not.
    """
    found: dict[str, float | None] = {one.operation: 0.0 for one in sent}
    for one in sent:
        before = found[one.operation]
        unknown = before is None or one.nanousd is None or _is_unpriced(one, rates)
        found[one.operation] = None if unknown else (before or 0.0) + (one.nanousd or 0)
    for backend, costs in rates.items():
        own = [one for one in sent if one.backend == backend]
        ids = {one.operation for one in own}
        for group in busy_groups(beside.get(backend, own)):
            members = [one for one in group if one.operation in ids]
            if not members:
                continue
            begin, end = min(one.span[0] for one in group), max(one.span[1] for one in group)
            spent = sum(rate.nanousd_per_second * _common(rate.span, (begin, end)) for rate in costs)
            tokens = sum(one.output_tokens for one in group)
            for one in members:
                share = one.output_tokens / tokens if tokens else 1 / len(group)
                before = found[one.operation]
                found[one.operation] = None if before is None else before + spent * share
    return found


def _is_unpriced(one: Sent, rates: Mapping[str, Sequence[Rate]]) -> bool:
    """It charged nothing for its tokens, and nobody knows yet what its time costs."""
    return one.nanousd == 0 and one.output_tokens > 0 and one.backend not in rates


def busy_groups(sent: Iterable[Sent]) -> list[list[Sent]]:
    """Requests that overlap, in one group each: while a group lasts, its backend is never idle."""
    groups: list[list[Sent]] = []
    until = float("-inf")
    for one in sorted(sent, key=lambda one: one.span):
        if one.span[0] > until:
            groups.append([])
        groups[-1].append(one)
        until = max(until, one.span[1])
    return groups


def _common(first: Span, second: Span) -> float:
    return max(0.0, min(first[1], second[1]) - max(first[0], second[0]))


# -- the ledger -------------------------------------------------------------------------------------------------------

_COLUMNS = "operation_id, backend, started_at, seconds, output_tokens, nanousd"


def _read_sent(ledger: str | Path, operations: Iterable[str]) -> list[Sent]:
    ids = sorted(operations)
    found: list[Sent] = []
    with _opened(ledger) as connection:
        for start in range(0, len(ids), _IDS_AT_ONCE):
            part = ids[start : start + _IDS_AT_ONCE]
            marks = ", ".join("?" * len(part))
            query = f"SELECT {_COLUMNS} FROM attempts WHERE operation_id IN ({marks})"  # noqa: S608 (marks only)
            found += [_sent(row) for row in connection.execute(query, part)]
    return found


def _read_beside(ledger: str | Path, sent: Sequence[Sent]) -> tuple[dict[str, list[Sent]], dict[str, list[Rate]]]:
    beside: dict[str, list[Sent]] = {}
    rates: dict[str, list[Rate]] = {}
    with _opened(ledger) as connection:
        for backend in sorted({one.backend for one in sent}):
            own = [one for one in sent if one.backend == backend]
            span = (min(one.span[0] for one in own), max(one.span[1] for one in own))
            if not (costs := _rates(connection, backend, span)):
                continue
            rates[backend] = costs
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM attempts WHERE backend = ? AND started_at <= ? AND started_at + seconds >= ?",  # noqa: S608
                (backend, span[1], span[0]),
            )
            beside[backend] = [_sent(row) for row in rows]
    return beside, rates


def _rates(connection: sqlite3.Connection, backend: str, span: Span) -> list[Rate]:
    """What time costs on it. The newest row of what accrues is still growing: it stands for the seconds after it."""
    accruals = connection.execute(
        "SELECT since, until, nanousd FROM accruals WHERE backend = ? AND until > since ORDER BY since", (backend,)
    ).fetchall()
    rates = [Rate((since, until), nanousd / (until - since)) for since, until, nanousd in accruals]
    if rates and rates[-1].span[1] < span[1]:
        rates.append(Rate((rates[-1].span[1], span[1]), rates[-1].nanousd_per_second))
    windows = connection.execute(
        "SELECT opened_at, ends_at, nanousd FROM windows WHERE backend = ? AND ends_at > opened_at", (backend,)
    ).fetchall()
    return rates + [Rate((opened, ends), nanousd / (ends - opened)) for opened, ends, nanousd in windows]


def _sent(row: sqlite3.Row) -> Sent:
    operation, backend, started_at, seconds, output_tokens, nanousd = row
    return Sent(operation, backend, (started_at, started_at + seconds), output_tokens, nanousd)


class _opened:
    """A reading connection; what SQLite says against it as one error of the gate's."""

    def __init__(self, ledger: str | Path) -> None:
        self._ledger = Path(ledger)
        self._reading = reading(self._ledger)

    def __enter__(self) -> sqlite3.Connection:
        try:
            return self._reading.__enter__()
        except sqlite3.Error as error:
            raise self._unreadable(error) from None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._reading.__exit__(None, None, None)
        if isinstance(error, sqlite3.Error):
            raise self._unreadable(error) from None

    def _unreadable(self, error: sqlite3.Error) -> LedgerUnreadableError:
        return LedgerUnreadableError(f"the gateway's ledger {self._ledger} cannot be read: {error} (setting `ledger`)")
