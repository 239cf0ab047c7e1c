"""The serving table, measured: what each path cost and did over the period, beside what the policy says of it. Pure.

$ per 1M is always US dollars per 1M output tokens. Reservation basis: all dollars of the period. Usage basis: dollars
of the busy time alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from gateway.economics.money import NANO, NanoUsd
from gateway.economics.path import Capacity, Path
from gateway.economics.prices import CostKind
from gateway.economics.serving import MILLION, average_cost
from gateway.policy.paths import serving_path
from gateway.policy.schema import Policy
from gateway.statement.covered import Covered, accrued_by, covered
from gateway.statement.flow import Flow, Speeds
from gateway.statement.ledger_rows import Books
from gateway.statement.period import Period


@dataclass(frozen=True, slots=True)
class Measured:
    """One path over the period. `path` None: the policy does not know it. `nanousd`: all it cost; `busy_nanousd`: of
    that, in busy time, None where the ledger does not say. `paid_seconds`: in which it was paid by time (a window
    counts once for each copy); None where tokens are paid."""

    name: str
    path: Path | None
    assumed_ttft_seconds: float | None
    requests: int
    attempts: int
    input_tokens: int
    output_tokens: int
    unsure_tokens: int
    estimated: int
    missing: int
    unpriced_tokens: int
    unpriced_output_tokens: int
    nanousd: NanoUsd
    token_nanousd: NanoUsd
    """Of it, charged by the token."""
    busy_nanousd: NanoUsd | None
    carried_nanousd: NanoUsd
    """Of windows that opened before the period, what fell into it: in neither of the two."""
    windows: int
    paid_seconds: float | None
    covered: Covered
    speeds: Speeds
    in_time: int
    late: int
    wrong: int

    @property
    def cost_kind(self) -> CostKind | None:
        return None if self.path is None or self.path.cost is None else self.path.cost.kind

    @property
    def simulated(self) -> bool:
        return self.path is not None and self.path.simulated

    @property
    def time_nanousd(self) -> NanoUsd:
        return self.nanousd - self.token_nanousd

    @property
    def priced_output_tokens(self) -> int:
        return self.output_tokens - self.unpriced_output_tokens

    @property
    def reservation_usd_per_1m(self) -> Fraction | None:
        """Of the tokens that have a price. None: there are none, or all their windows were paid before the period."""
        if self.carried_nanousd and not self.windows:
            return None
        return usd_per_1m(self.nanousd, self.priced_output_tokens)

    @property
    def usage_usd_per_1m(self) -> Fraction | None:
        return None if self.busy_nanousd is None else usd_per_1m(self.busy_nanousd, self.priced_output_tokens)

    @property
    def price_unknown(self) -> bool:
        """Nothing that it served has a price: no figure is better than 0."""
        return self.nanousd == 0 and self.unpriced_tokens > 0

    @property
    def utilization(self) -> float | None:
        """Output tokens over what it could have made in the time that was paid, at the policy's capacity."""
        if self.path is None or not self.paid_seconds:
            return None
        return self.output_tokens / (float(self.path.max_tokens_per_second) * self.paid_seconds)

    @property
    def busy_share(self) -> float | None:
        """Of the time that was paid."""
        return self.speeds.busy_seconds / self.paid_seconds if self.paid_seconds else None

    @property
    def busy_tokens_per_second(self) -> float | None:
        """All streams together, while at least one request was under way."""
        return self.output_tokens / self.speeds.busy_seconds if self.speeds.busy_seconds > 0 else None

    @property
    def judged(self) -> int:
        return self.in_time + self.late + self.wrong

    @property
    def mix(self) -> Fraction:
        """Input tokens that came with each output token."""
        return Fraction(self.input_tokens, self.output_tokens) if self.output_tokens > 0 else Fraction(0)

    @property
    def assumed_usd_per_1m(self) -> Fraction | None:
        """What the policy's prices and speeds say, at full use: a box at its whole capacity, an imported model at one
        stream while active, tokens at list price for the mix that was measured."""
        if self.path is None:
            return None
        return assumed_usd_per_1m(self.path, self.mix)


def usd_per_1m(nanousd: NanoUsd, tokens: int) -> Fraction | None:
    return Fraction(nanousd * MILLION, tokens * NANO) if tokens > 0 else None


def assumed_usd_per_1m(path: Path, mix: Fraction) -> Fraction | None:
    capacity: Capacity = "single" if path.cost is not None and path.cost.kind == "window" else "max"
    return average_cost(path, capacity, mix).usd_per_1m_tokens


def measured(policy: Policy, books: Books, moved: Flow, period: Period) -> tuple[Measured, ...]:
    """The policy's backends that can serve, in its order, then those that only the ledger knows."""
    seen = [row.backend for row in books.served] + [row.backend for row in books.accrued]
    seen += [window.backend for window in books.windows]
    known = [name for name, settings in policy.backends.items() if settings.wire is not None or name in set(seen)]
    names = dict.fromkeys([*known, *sorted(set(seen))])
    accrued = {name: covered(rows, period) for name, rows in accrued_by(books.accrued).items()}
    return tuple(_measured(name, policy, books, moved, period, accrued) for name in names)


def _measured(
    name: str, policy: Policy, books: Books, moved: Flow, period: Period, accrued: Mapping[str, Covered]
) -> Measured:
    served = [row for row in books.served if row.backend == name]
    rows = [row for row in books.accrued if row.backend == name]
    windows = [window for window in books.windows if window.backend == name]
    answered = [row for row in books.answered if row.backend == name]
    by_token = sum(row.nanousd for row in served)
    by_time = sum(row.within(period) for row in rows)
    by_window = sum(window.nanousd for window in windows)
    carried = books.window_carried.get(name, 0)
    busy: NanoUsd | None = by_token
    if rows or windows or carried:
        busy = None
        if books.busy_whole:
            busy = by_token + sum(row.within(period, row.busy_nanousd) for row in rows) + books.window_busy.get(name, 0)
    if carried and busy is not None and busy > by_token + by_time + by_window:
        busy = None  # most of it was busy time of windows that were paid before the period
    covers = accrued.get(name, Covered((), 0.0))
    settings = policy.backends.get(name)
    return Measured(
        name=name,
        path=None if settings is None else serving_path(name, settings),
        assumed_ttft_seconds=None if settings is None else settings.speed.first_token_seconds,
        requests=sum(row.requests for row in served),
        attempts=sum(row.attempts for row in served),
        input_tokens=sum(row.input_tokens for row in served),
        output_tokens=sum(row.output_tokens for row in served),
        unsure_tokens=sum(row.unsure_tokens for row in served),
        estimated=sum(row.estimated for row in served),
        missing=sum(row.missing for row in served),
        unpriced_tokens=sum(row.unpriced_tokens for row in served),
        unpriced_output_tokens=sum(row.unpriced_output_tokens for row in served),
        nanousd=by_token + by_time + by_window,
        token_nanousd=by_token,
        busy_nanousd=busy,
        carried_nanousd=carried,
        windows=len(windows),
        paid_seconds=sum(one.ends_at - one.opened_at for one in windows) if windows else covers.seconds or None,
        covered=covers,
        speeds=moved.speeds.get(name, Speeds(0.0)),
        in_time=sum(row.in_time for row in answered),
        late=sum(row.late for row in answered),
        wrong=sum(row.wrong for row in answered),
    )
