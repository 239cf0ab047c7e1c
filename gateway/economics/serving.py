"""Average cost: what a million output tokens cost on each path. For reports; routing uses marginal cost instead.

All results are exact `Fraction`s of US dollars, or None where a price is unknown (never 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

from gateway.economics.money import NANO, SECONDS_PER_MONTH
from gateway.economics.path import Capacity, Path
from gateway.economics.prices import AmortizedCost, CostKind, CostModel, PerTokenCost, ProvisionedCost, WindowCost

MILLION = 1_000_000

DividedBy: TypeAlias = Literal["utilization", "duty"]


@dataclass(frozen=True, slots=True)
class AverageCost:
    """US dollars per 1M output tokens, still to be divided by how busy the path is where `divided_by` says so."""

    usd_per_1m_tokens: Fraction | None
    divided_by: DividedBy | None

    def at(self, busy: Fraction) -> Fraction | None:
        """At a utilisation (or duty) of `busy`, above 0 and at most 1."""
        if not 0 < busy <= 1:
            raise ValueError(f"utilisation is {float(busy)}: it must be above 0 and at most 1 (100%)")
        if self.usd_per_1m_tokens is None or self.divided_by is None:
            return self.usd_per_1m_tokens
        return self.usd_per_1m_tokens / busy


@dataclass(frozen=True, slots=True)
class Band:
    """An owned box's lowest and highest plausible month, and its average cost at both ends (to divide by U)."""

    low_usd_per_month: Fraction
    high_usd_per_month: Fraction
    low_usd_per_1m_tokens: Fraction
    high_usd_per_1m_tokens: Fraction


@dataclass(frozen=True, slots=True)
class ServingRow:
    path: Path
    cost_kind: CostKind | None
    average: AverageCost
    tokens_per_second: Fraction
    usd_per_month: Fraction | None
    """Of a path that is billed by time, busy or idle: amortized and provisioned."""
    usd_per_window: Fraction | None
    """One whole window of one copy."""
    band: Band | None


def average_cost(
    path: Path, capacity: Capacity = "single", input_tokens_per_output_token: Fraction = Fraction(0)
) -> AverageCost:
    """The average $ per 1M output tokens.

    amortized: month / (tok/s x U x 2,628,000) x 1e6. window: units x rate / (60 x tok/s) x 1e6, while active.
    per_token: the list price of one output token with the input tokens that go with it. provisioned:
    units x rate / (3600 x tok/s x duty) x 1e6; units 0 cannot serve, so its price is unknown.
    """
    if input_tokens_per_output_token < 0:
        raise ValueError(f"input tokens per output token is {float(input_tokens_per_output_token)}: it must be >= 0")
    if path.cost is None:
        return AverageCost(None, None)
    per_token = nanousd_per_output_token(path.cost, path.tokens_per_second(capacity), input_tokens_per_output_token)
    divided_by: dict[CostKind, DividedBy] = {"amortized": "utilization", "provisioned": "duty"}
    return AverageCost(None if per_token is None else _usd_per_1m(per_token), divided_by.get(path.cost.kind))


def nanousd_per_output_token(
    cost: CostModel, tokens_per_second: Fraction, input_tokens_per_output_token: Fraction = Fraction(0)
) -> Fraction | None:
    """Average n$ of one output token of a path that is busy all the time; None when the price is unknown."""
    match cost:
        case AmortizedCost():
            return cost.nanousd_per_second / tokens_per_second
        case WindowCost():
            return cost.nanousd_per_copy_second / tokens_per_second
        case ProvisionedCost():
            per_second = cost.nanousd_per_second if cost.units else None
            return None if per_second is None else per_second / tokens_per_second
        case PerTokenCost():
            return mix_nanousd_per_output_token(cost, input_tokens_per_output_token)


def mix_nanousd_per_output_token(cost: PerTokenCost, input_tokens_per_output_token: Fraction) -> Fraction | None:
    """List price of one output token and its share of input, in n$; None when a needed price is unknown."""
    if cost.output_nanousd_per_token is None:
        return None
    if not input_tokens_per_output_token:
        return cost.output_nanousd_per_token
    if cost.input_nanousd_per_token is None:
        return None
    return cost.output_nanousd_per_token + cost.input_nanousd_per_token * input_tokens_per_output_token


def serving_row(
    path: Path, capacity: Capacity = "single", input_tokens_per_output_token: Fraction = Fraction(0)
) -> ServingRow:
    speed = path.tokens_per_second(capacity)
    month = window = None
    band = None
    if isinstance(path.cost, AmortizedCost):
        month = path.cost.nanousd_per_month / NANO
        if path.band_nanousd_per_month is not None:
            low, high = path.band_nanousd_per_month
            per_token = [end / SECONDS_PER_MONTH / speed for end in (low, high)]
            band = Band(low / NANO, high / NANO, _usd_per_1m(per_token[0]), _usd_per_1m(per_token[1]))
    elif isinstance(path.cost, ProvisionedCost) and path.cost.units and path.cost.nanousd_per_second is not None:
        month = path.cost.nanousd_per_second * SECONDS_PER_MONTH / NANO
    elif isinstance(path.cost, WindowCost):
        window = Fraction(path.cost.nanousd_per_window, NANO)
    return ServingRow(
        path=path,
        cost_kind=None if path.cost is None else path.cost.kind,
        average=average_cost(path, capacity, input_tokens_per_output_token),
        tokens_per_second=speed,
        usd_per_month=month,
        usd_per_window=window,
        band=band,
    )


def reservation_usd_per_1m(
    cost: AmortizedCost | ProvisionedCost, period_seconds: Fraction | int, tokens: int
) -> Fraction | None:
    """All the dollars the path cost in the period, busy or idle, per 1M tokens it served.

    The only basis that may be compared with the cloud. None when nothing was served or the price is unknown.
    """
    return _per_1m_over(cost.nanousd_per_second, period_seconds, tokens)


def usage_usd_per_1m(
    cost: AmortizedCost | ProvisionedCost | WindowCost, busy_seconds: Fraction | int, tokens: int
) -> Fraction | None:
    """The dollars of the busy time alone (of one copy where it is a window), per 1M tokens: not for comparing."""
    rate = cost.nanousd_per_copy_second if isinstance(cost, WindowCost) else cost.nanousd_per_second
    return _per_1m_over(rate, busy_seconds, tokens)


def _per_1m_over(rate: Fraction | None, seconds: Fraction | int, tokens: int) -> Fraction | None:
    if seconds < 0 or tokens < 0:
        raise ValueError(f"{float(seconds)} s and {tokens} tokens: neither can be below 0")
    if rate is None or tokens == 0:
        return None
    return _usd_per_1m(rate * seconds / tokens)


def _usd_per_1m(nanousd_per_token: Fraction) -> Fraction:
    return nanousd_per_token * MILLION / NANO
