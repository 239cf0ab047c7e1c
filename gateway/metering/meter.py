"""The meter: usage becomes money. Attempts at list price, boxes and provisioned units by the second, imported models
by their windows; into the series as it accrues, into the ledger as it happens."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple

from gateway.backends.usage import MISSING, Usage
from gateway.economics.elsewhere import EverywhereElse
from gateway.economics.money import NanoUsd
from gateway.economics.prices import AmortizedCost, CostModel, PerTokenCost, ProvisionedCost, WindowCost
from gateway.economics.windows import CopyState, Window, WindowMeter, WindowView
from gateway.metering.busy import BusyTime
from gateway.metering.ledger import Ledger
from gateway.metering.records import (
    ALL_BACKENDS,
    AccrualRecord,
    Attempt,
    CopyRecord,
    CounterfactualRecord,
    OperationRecord,
    WindowBusyRecord,
    WindowRecord,
)
from gateway.metering.series import Series
from gateway.metering.totals import Totals, keys_of

ACCRUAL_ROW_SECONDS = 60.0
"""A new row of what accrues is begun this often: within a row, a report takes it to be even."""
LAST_WINDOWS_KEPT = 20

logger = logging.getLogger(__name__)


class _Accrual:
    """Cost that runs by the second: exact in integers, however often it is asked."""

    def __init__(self, nanousd_per_second: Fraction, now: float) -> None:
        self.rate = nanousd_per_second
        self._since = now
        self._nanousd = 0

    def due(self, now: float) -> NanoUsd:
        """n$ since the last call of this. Counted from the start, so that sums lose no fractions."""
        added = max(0, int(self.rate * Fraction(now - self._since)) - self._nanousd)
        self._nanousd += added
        return added


class _Row:
    """A row of the ledger that grows until its minute is over. n$, and of them in busy time."""

    def __init__(self, now: float) -> None:
        self.since = now
        self.nanousd = 0
        self.busy_nanousd = 0

    def add(self, nanousd: NanoUsd, busy_nanousd: NanoUsd = 0) -> None:
        self.nanousd += nanousd
        self.busy_nanousd += busy_nanousd

    def is_over(self, now: float) -> bool:
        return now - self.since >= ACCRUAL_ROW_SECONDS


class _Places(NamedTuple):
    """Where a backend's totals of each attempt stand."""

    input: int
    output: int
    answers: int
    unpriced: int


class Meter:
    """One gateway's books. All times are monotonic seconds of `clock`; the ledger gets wall-clock ones."""

    def __init__(
        self,
        costs: Mapping[str, CostModel | None],
        tokens_per_second: Mapping[str, float],
        series: Series,
        ledger: Ledger | None,
        run: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._costs = costs
        self._everywhere_else = EverywhereElse(costs, tokens_per_second)
        self._series = series
        self._ledger = ledger
        self._run = run
        now = clock()
        self._wall_offset = wall() - now
        self._windows = {name: WindowMeter(cost) for name, cost in costs.items() if isinstance(cost, WindowCost)}
        self._window_accrued = dict.fromkeys(self._windows, 0)
        self._origins: dict[tuple[str, int], tuple[str, int]] = {}
        """Of restored copies: the run and the number they go by in the ledger."""
        self._written: dict[str, dict[int, CopyState]] = {name: {} for name in self._windows}
        self.last_windows: dict[str, deque[Window]] = {name: deque(maxlen=LAST_WINDOWS_KEPT) for name in self._windows}
        """Of each imported model, the newest last; times are monotonic."""
        self._accruals: dict[str, _Accrual] = {}
        for name, cost in costs.items():
            rate = cost.nanousd_per_second if isinstance(cost, AmortizedCost | ProvisionedCost) else None
            if rate is not None:
                self._accruals[name] = _Accrual(rate, now)
        self._busy = BusyTime(costs, now)
        self._ticked_at = now
        self._began_at = now
        self._rows: dict[tuple[str, ...], _Row] = {}
        self.totals = Totals(keys_of(costs, self._everywhere_else.pairs, self._everywhere_else.paths), now)
        self._places = {name: _Places(*(self.totals.place((what, name)) for what in _Places._fields)) for name in costs}
        for served_by, priced_as in self._everywhere_else.pairs:
            series.counterfactual(served_by, priced_as, 0)
        for path in self._everywhere_else.paths:
            series.single_path(path, 0)

    def prices_everything(self, path: str) -> bool:
        """Whether it is known what all that was served would have cost on this path."""
        return path in self._everywhere_else.paths

    def wall(self, monotonic: float) -> float:
        return monotonic + self._wall_offset

    # -- what happens -------------------------------------------------------------------------------------------------

    def attempt_under_way(self, backend: str, now: float) -> None:
        """The backend has something to do, until `attempt_over`."""
        self._busy.began(backend, now)

    def attempt_over(self, backend: str, now: float) -> None:
        self._busy.ended(backend, now)

    def window_call_sent(self, backend: str, sent_at: float) -> int | None:
        """A call to an imported model is under way, and counts for its room; it is not booked. Returns a ticket for
        `window_call_began` or `window_call_refused`."""
        meter = self._windows.get(backend)
        return None if meter is None else meter.call_sent(sent_at)

    def window_call_refused(self, backend: str, ticket: int | None) -> None:
        """Nothing came of it. A ticket that is used up says nothing."""
        if ticket is not None:
            self._windows[backend].call_refused(ticket)

    def window_not_ready(self, backend: str, sent_at: float) -> bool:
        """A call sent then was told that the model is not ready. Returns whether no copy is believed up any more."""
        meter = self._windows.get(backend)
        return meter is not None and meter.not_ready(sent_at)

    def window_copies_counted(self, backend: str, count: int, since_wall: float) -> int:
        """Bedrock counted at most so many copies from then on (wall clock). Returns how many no call here explains."""
        meter = self._windows.get(backend)
        return 0 if meter is None else meter.copies_counted(count, since_wall - self._wall_offset)

    def window_throttled(self, backend: str, now: float) -> None:
        """A call was told "too many": an imported model has less room than believed."""
        meter = self._windows.get(backend)
        if meter is not None:
            meter.throttled(now)

    def window_call_began(self, backend: str, sent_at: float, now: float, ticket: int | None = None) -> int | None:
        """A call that an imported model is answering. Returns what `window_call_ended` wants back."""
        meter = self._windows.get(backend)
        if meter is None:
            return None
        copy = meter.call_began(sent_at, ticket)
        # With the call, not with the next tick: a gateway that is killed must know the copy, and its last call.
        self._book_windows(backend, meter, now)
        return copy

    def window_call_ended(self, backend: str, copy: int | None) -> None:
        if copy is not None:
            self._windows[backend].call_ended(copy)

    def price(self, backend: str, usage: Usage) -> NanoUsd | None:
        """What an attempt is charged by itself, in n$. 0 where time is paid; None: a price or the usage is unknown."""
        cost = self._costs.get(backend)
        match cost:
            case None:
                return None
            case PerTokenCost():
                return None if usage.certainty == "missing" else cost.price(usage.input_tokens, usage.output_tokens)
            case ProvisionedCost() if cost.nanousd_per_unit_hour is None:
                return None
            case _:
                return 0

    def attempt_ended(self, alias: str, attempt: Attempt, usage: Usage, *, asked_for: bool = True) -> None:
        """Books an attempt: `attempt.nanousd` is what `price` said. The ledger first: it has the attempt whatever the
        series make of it. `asked_for` False: the gateway sent it by itself, so that it would not have been sent
        elsewhere.

        Token counts below 0 are the caller's mistake: they are in the ledger as given, and in no counter."""
        if self._ledger is not None:
            self._ledger.put(attempt)
        backend, input_tokens, output_tokens = attempt.backend, usage.input_tokens, usage.output_tokens
        nanousd, outcome = attempt.nanousd, attempt.outcome
        if input_tokens < 0 or output_tokens < 0 or (nanousd is not None and nanousd < 0):
            logger.error(
                "attempt %s of %s counts below 0, and is in no counter: %s", attempt.operation_id, backend, usage
            )
            self._series.attempt(backend, alias, outcome, MISSING, generation=attempt.generation)
            return
        self._series.attempt(backend, alias, outcome, usage, _may_be_billed(attempt), attempt.generation)
        places, add = self._places[backend], self.totals.add_at
        add(places.input, input_tokens)
        add(places.output, output_tokens)
        if asked_for and outcome == "ok":
            add(places.answers, 1)
        if nanousd is None:
            self._series.unpriced(backend, alias, input_tokens + output_tokens)
            add(places.unpriced, input_tokens + output_tokens)
        elif nanousd and (cost := self._costs[backend]) is not None:
            self._cost(backend, cost.kind, nanousd, nanousd)
        if asked_for and (outcome == "ok" or output_tokens):
            # What was served; an attempt that failed was served by another, and would count twice.
            ended = attempt.started_at - self._wall_offset + attempt.seconds
            self._everywhere_else.served(backend, input_tokens, output_tokens, ended)

    def operation_ended(self, record: OperationRecord) -> None:
        if self._ledger is not None:
            self._ledger.put(record)
        self._series.operation(record.backend, record.alias, record.outcome, record.seconds)
        if record.verdict is not None:
            self.totals.add(("judged", record.verdict), 1)
            self._series.judged(record.backend, record.alias, record.verdict)

    def _count(self, what: str, backend: str, amount: int) -> None:
        self.totals.add((what, backend), amount)

    def _cost(self, backend: str, kind: str, nanousd: NanoUsd, busy_nanousd: NanoUsd) -> None:
        self._series.cost(backend, kind, nanousd, busy_nanousd)
        self._count("cost", backend, nanousd)
        self._count("busy", backend, busy_nanousd)

    # -- what time does -----------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Accrues up to `now`. Called about once a second, and once at the end."""
        elapsed, self._ticked_at = now - self._ticked_at, now
        self._series.ran(max(0.0, elapsed))
        for backend in self._costs:
            busy_seconds = self._busy.due(backend, now)
            self._series.busy(backend, busy_seconds)
            share = Fraction(min(1.0, busy_seconds / elapsed)) if elapsed > 0 else Fraction(0)
            if backend in self._accruals:
                self._tick_accrual(backend, share, now)
            elif backend in self._windows:
                self._tick_windows(backend, share, now)
        pairs, alone = self._everywhere_else.due(now)
        for (served_by, priced_as), nanousd in pairs.items():
            self._series.counterfactual(served_by, priced_as, nanousd)
            self.totals.add(("elsewhere", served_by, priced_as), nanousd)
            self._write_counterfactual(served_by, priced_as, nanousd, now)
        for path, nanousd in alone.items():
            self._series.single_path(path, nanousd)
            self.totals.add(("alone", path), nanousd)
            self._write_counterfactual(ALL_BACKENDS, path, nanousd, now)
        self.totals.remember(now)

    def _tick_accrual(self, backend: str, busy_share: Fraction, now: float) -> None:
        cost = self._costs[backend]
        assert cost is not None
        due = self._accruals[backend].due(now)
        busy = int(due * busy_share)
        self._cost(backend, cost.kind, due, busy)
        row = self._row(("accrual", backend))
        row.add(due, busy)
        if self._ledger is not None:
            since, until = self.wall(row.since), self.wall(now)
            self._ledger.put(
                AccrualRecord(self._run, backend, cost.kind, since, until, row.nanousd, row.busy_nanousd)
            )  # fmt: skip
        self._next_row(("accrual", backend), now)

    def _tick_windows(self, backend: str, busy_share: Fraction, now: float) -> None:
        meter = self._windows[backend]
        self._book_windows(backend, meter, now)
        accrued = meter.accrued(now)
        due = accrued - self._window_accrued[backend]
        self._window_accrued[backend] = accrued
        busy = int(due * busy_share)
        self._cost(backend, "window", due, busy)
        row = self._row(("window busy", backend))
        row.add(due, busy)
        if self._ledger is not None and row.busy_nanousd:
            since, until = self.wall(row.since), self.wall(now)
            self._ledger.put(WindowBusyRecord(self._run, backend, since, until, row.busy_nanousd))
        self._next_row(("window busy", backend), now)
        view = meter.view(now)
        self._series.window_open.labels(backend).set(view.copies)
        self._series.window_seconds_left.labels(backend).set(view.seconds_left)

    def _write_counterfactual(self, served_by: str, priced_as: str, nanousd: NanoUsd, now: float) -> None:
        name = ("counterfactual", served_by, priced_as)
        row = self._row(name)
        row.add(nanousd)
        if self._ledger is not None and nanousd:
            since, until = self.wall(row.since), self.wall(now)
            self._ledger.put(CounterfactualRecord(self._run, served_by, priced_as, since, until, row.nanousd))
        self._next_row(name, now)

    def _row(self, name: tuple[str, ...]) -> _Row:
        row = self._rows.get(name)
        if row is None:
            row = self._rows[name] = _Row(self._began_at)  # what the first tick books accrued since then
        return row

    def _next_row(self, name: tuple[str, ...], now: float) -> None:
        if self._rows[name].is_over(now):
            self._rows[name] = _Row(now)

    def window_view(self, backend: str, now: float) -> WindowView | None:
        meter = self._windows.get(backend)
        return None if meter is None else meter.view(now)

    def restore_window(
        self,
        backend: str,
        first_call: float,
        last_call: float,
        booked: int,
        now: float,
        *,
        origin: tuple[str, int] | None = None,
        numbers: Iterable[int] = (),
    ) -> None:
        """A copy that the ledger of an earlier run knows (wall-clock seconds). It may be up, or have opened windows
        since. `origin`: the run and the number it goes by there; `numbers`: which of its windows are booked.

        Of windows that are open, what had passed by now is the earlier run's; the series go on with the rest."""
        meter = self._windows.get(backend)
        if meter is None:
            return
        before = meter.accrued(now)
        copy = meter.restore(first_call - self._wall_offset, last_call - self._wall_offset, booked, numbers)
        self._window_accrued[backend] += meter.accrued(now) - before
        if origin is not None:
            self._origins[backend, copy] = origin
        self._book_windows(backend, meter, now)

    def _book_windows(self, backend: str, meter: WindowMeter, now: float) -> None:
        opened = meter.advance(now)
        if opened:
            self._series.windows(backend, len(opened))
            self._count("windows", backend, len(opened))
            self.last_windows[backend].extend(opened)
        if self._ledger is None:
            return
        for window in opened:
            self._ledger.put(
                WindowRecord(
                    *self._origin(backend, window.copy), window.number, self.wall(window.opened_at),
                    self.wall(window.ends_at), window.nanousd,
                )
            )  # fmt: skip
        written, copies = self._written[backend], meter.copies()
        for state in copies:
            known = written.get(state.copy)
            if known == state:
                continue
            first, last = self.wall(state.first_call), self.wall(state.last_call)
            self._ledger.put(CopyRecord(*self._origin(backend, state.copy), first, last, state.booked))
            for merged in state.merged[len(known.merged) if known else 0 :]:
                self._ledger.put(CopyRecord(*self._origin(backend, merged), first, last, 0))
        self._written[backend] = {state.copy: state for state in copies}

    def _origin(self, backend: str, copy: int) -> tuple[str, str, int]:
        """What a copy goes by in the ledger."""
        run, number = self._origins.get((backend, copy), (self._run, copy))
        return run, backend, number


def _may_be_billed(attempt: Attempt) -> bool:
    """Refused before its first byte, an attempt costs nothing. `nanousd` None: it may, and nobody told how much."""
    answered = attempt.outcome in ("ok", "cancelled", "timeout") or attempt.ttft_seconds is not None
    return answered or attempt.nanousd is None
