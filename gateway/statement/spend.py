"""Where the money went: by path, by API key, by alias, over time. Every sum is exact, to the nano-dollar. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway.economics.money import NanoUsd
from gateway.statement.ledger_rows import Books, Served
from gateway.statement.period import Period
from gateway.statement.serving import Measured

OWN = "(the gateway's own calls)"
"""Attempts that go with no operation: warm-up calls, and those of a gateway that was killed before it wrote."""
NOBODY = "(nobody: it served no tokens)"

_K = TypeVar("_K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Share:
    """`token_nanousd`: charged by the token, exactly. `time_nanousd`: its part of what paths that are paid by time
    cost, shared out by output tokens."""

    name: str
    requests: int
    input_tokens: int
    output_tokens: int
    token_nanousd: NanoUsd
    time_nanousd: NanoUsd

    @property
    def nanousd(self) -> NanoUsd:
        return self.token_nanousd + self.time_nanousd


@dataclass(frozen=True, slots=True)
class Step:
    """A step of time: n$ and output tokens by path."""

    at: int
    nanousd: Mapping[str, NanoUsd]
    output_tokens: Mapping[str, int]


def apportion(amount: NanoUsd, weights: Mapping[_K, int]) -> dict[_K, NanoUsd]:
    """Whole n$ by weight that add up to `amount`: rounded down, and what is left over to the largest remainders."""
    total = sum(weights.values())
    if total <= 0:
        return {}
    parts = {name: divmod(amount * weight, total) for name, weight in weights.items()}
    left = amount - sum(whole for whole, _ in parts.values())
    first = sorted(parts, key=lambda name: -parts[name][1])[:left]
    return {name: whole + (name in first) for name, (whole, _) in parts.items()}


def shares(
    served: Sequence[Served], paths: Sequence[Measured], by: Callable[[Served], str | None]
) -> tuple[Share, ...]:
    """The dearest first. `by`: what to share by; None: calls of the gateway's own."""
    names = list(dict.fromkeys(by(row) or OWN for row in served))
    timed: dict[str, NanoUsd] = dict.fromkeys(names, 0)
    for path in paths:
        if not path.time_nanousd:
            continue
        weights: dict[str, int] = {}
        for row in served:
            if row.backend == path.name and row.output_tokens > 0:
                weights[by(row) or OWN] = weights.get(by(row) or OWN, 0) + row.output_tokens
        for name, part in (apportion(path.time_nanousd, weights) or {NOBODY: path.time_nanousd}).items():
            timed[name] = timed.get(name, 0) + part
    found = []
    for name, part in timed.items():
        rows = [row for row in served if (by(row) or OWN) == name]
        found.append(
            Share(
                name=name,
                requests=sum(row.requests for row in rows),
                input_tokens=sum(row.input_tokens for row in rows),
                output_tokens=sum(row.output_tokens for row in rows),
                token_nanousd=sum(row.nanousd for row in rows),
                time_nanousd=part,
            )
        )
    return tuple(sorted(found, key=lambda one: -one.nanousd))


def over_time(books: Books, period: Period) -> tuple[Step, ...]:
    """Spend by step of the period: time by the second, windows whole when they open, tokens when a request begins.
    Steps in which nothing happened between two others are there, empty."""
    step = period.step_seconds
    spent: dict[int, dict[str, NanoUsd]] = {}
    tokens: dict[int, dict[str, int]] = {}

    def add(at: float, backend: str, nanousd: NanoUsd) -> None:
        bucket = spent.setdefault(int(at // step) * step, {})
        bucket[backend] = bucket.get(backend, 0) + nanousd

    for row in books.served:
        add(row.at, row.backend, row.nanousd)
        made = tokens.setdefault(row.at // step * step, {})
        made[row.backend] = made.get(row.backend, 0) + row.output_tokens
    for window in books.windows:
        add(window.opened_at, window.backend, window.nanousd)
    for accrued in books.accrued:
        since, until = max(accrued.since, period.since), min(accrued.until, period.until)
        at = int(since // step) * step
        while at < until:
            part = Period(max(at, period.since), min(at + step, period.until))
            add(at, accrued.backend, accrued.within(part))
            at += step
    if not spent:
        return ()
    ats = range(min(spent), max(spent) + step, step)
    return tuple(Step(at, spent.get(at, {}), tokens.get(at, {})) for at in ats)
