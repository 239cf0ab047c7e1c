"""The meter: usage becomes money. Attempts at list price, boxes and provisioned units by the second, imported models
by their windows; into the series as it accrues, into the ledger as it happens."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from gateway.backends.usage import MISSING, Usage
from gateway.economics.money import NanoUsd
from gateway.economics.prices import AmortizedCost, CostModel, PerTokenCost, ProvisionedCost, TokenRate, WindowCost
from gateway.economics.windows import CopyState, WindowMeter, WindowView
from gateway.metering.ledger import Ledger
from gateway.metering.records import AccrualRecord, Attempt, CopyRecord, OperationRecord, WindowRecord
from gateway.metering.series import Series

ACCRUAL_ROW_SECONDS = 60.0
"""A new row of accrued cost is begun this often: within a row, a report takes the cost to be even."""

logger = logging.getLogger(__name__)


class _Accrual:
    """Cost that runs by the second: exact in integers, however often it is asked."""

    def __init__(self, nanousd_per_second: Fraction, now: float) -> None:
        self.rate = nanousd_per_second
        self.row_since = now
        self.row_nanousd = 0
        self._since = now
        self._nanousd = 0

    def due(self, now: float) -> NanoUsd:
        """n$ since the last call of this. Counted from the start, so that rows lose no fractions."""
        added = max(0, int(self.rate * Fraction(now - self._since)) - self._nanousd)
        self._nanousd += added
        self.row_nanousd += added
        return added

    def next_row(self, now: float) -> None:
        self.row_since = now
        self.row_nanousd = 0


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
        rates = {name: _rate_elsewhere(cost, tokens_per_second[name]) for name, cost in costs.items()}
        self._rates = {name: rate for name, rate in rates.items() if rate is not None}
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
        self._accruals: dict[str, _Accrual] = {}
        for name, cost in costs.items():
            rate = cost.nanousd_per_second if isinstance(cost, AmortizedCost | ProvisionedCost) else None
            if rate is not None:
                self._accruals[name] = _Accrual(rate, now)

    def wall(self, monotonic: float) -> float:
        return monotonic + self._wall_offset

    # -- what happens -------------------------------------------------------------------------------------------------

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

    def attempt_ended(self, alias: str, attempt: Attempt, usage: Usage) -> None:
        """Books an attempt: `attempt.nanousd` is what `price` said. The ledger first: it has the attempt whatever the
        series make of it.

        Token counts below 0 are the caller's mistake: they are in the ledger as given, and in no counter."""
        if self._ledger is not None:
            self._ledger.put(attempt)
        backend, cost = attempt.backend, self._costs.get(attempt.backend)
        if min(usage.input_tokens, usage.output_tokens) < 0 or (attempt.nanousd or 0) < 0:
            logger.error(
                "attempt %s of %s counts below 0, and is in no counter: %s", attempt.operation_id, backend, usage
            )
            self._series.attempt(backend, alias, attempt.outcome, MISSING)
            return
        self._series.attempt(backend, alias, attempt.outcome, usage, billable=_may_be_billed(attempt))
        if attempt.nanousd is None:
            self._series.unpriced(backend, alias, usage.input_tokens + usage.output_tokens)
        elif attempt.nanousd and cost is not None:
            self._series.cost(backend, cost.kind, attempt.nanousd)
        for other, rate in self._rates.items():
            if other != backend:
                elsewhere = rate.price(usage.input_tokens, usage.output_tokens)
                self._series.counterfactual(backend, other, elsewhere)

    def operation_ended(self, record: OperationRecord) -> None:
        if self._ledger is not None:
            self._ledger.put(record)
        self._series.operation(record.backend, record.alias, record.outcome, record.seconds)

    # -- what time does -----------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Accrues up to `now`. Called about once a second, and once at the end."""
        for backend, accrual in self._accruals.items():
            cost = self._costs[backend]
            assert cost is not None
            self._series.cost(backend, cost.kind, accrual.due(now))
            if self._ledger is not None:
                self._ledger.put(
                    AccrualRecord(
                        self._run, backend, cost.kind, self.wall(accrual.row_since), self.wall(now), accrual.row_nanousd
                    )
                )
            if now - accrual.row_since >= ACCRUAL_ROW_SECONDS:
                accrual.next_row(now)
        for backend, meter in self._windows.items():
            self._book_windows(backend, meter, now)
            accrued = meter.accrued(now)
            self._series.cost(backend, "window", accrued - self._window_accrued[backend])
            self._window_accrued[backend] = accrued
            view = meter.view(now)
            self._series.window_open.labels(backend).set(view.copies)
            self._series.window_seconds_left.labels(backend).set(view.seconds_left)

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


def _rate_elsewhere(cost: CostModel | None, tokens_per_second: float) -> TokenRate | None:
    """What a token would have cost there: list price, or an active copy's or unit's price at its speed. None: it has
    no such price (an owned box), or it is unknown."""
    match cost:
        case PerTokenCost(
            input_nanousd_per_token=Fraction() as per_input, output_nanousd_per_token=Fraction() as output
        ):
            return TokenRate.of(per_input, output)
        case WindowCost():
            return TokenRate.of(Fraction(0), cost.nanousd_per_copy_second / Fraction(str(tokens_per_second)))
        case ProvisionedCost() if cost.nanousd_per_second is not None:
            return TokenRate.of(Fraction(0), cost.nanousd_per_second / Fraction(str(tokens_per_second)))
        case _:
            return None
