"""Money as integers: one nano-dollar (n$) is 1e-9 USD, so $0.22 per 1M tokens is exactly 220 n$ a token."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import TypeAlias

NanoUsd: TypeAlias = int

NANO = 1_000_000_000
SECONDS_PER_MONTH = 2_628_000
"""One month is 730 hours."""


def nanousd(usd: Decimal | Fraction | int | str) -> NanoUsd:
    """Dollars to whole nano-dollars, rounded half to even. Floats are refused: their error would become money."""
    if isinstance(usd, float):
        raise TypeError(f"money must not be a float (got {usd!r}): pass a Decimal, a Fraction, an int or a str")
    value = Fraction(usd) if not isinstance(usd, Decimal) else Fraction(*usd.as_integer_ratio())
    return round_half_even(value * NANO)


def round_half_even(value: Fraction) -> int:
    """Nearest integer; ties go to the even one."""
    return round(value)


def rounded_quotient(numerator: int, denominator: int) -> int:
    """numerator / denominator to the nearest integer, ties to even, without making a fraction. Both at least 0."""
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return whole + (twice > denominator or (twice == denominator and whole % 2 == 1))


def usd(amount: NanoUsd) -> float:
    """Nano-dollars to a float of dollars: for Prometheus, JSON and tables only, never for arithmetic."""
    return amount / NANO


def exact(value: Decimal | int | str) -> Fraction:
    """A decimal setting as an exact fraction."""
    return Fraction(Decimal(value)) if not isinstance(value, Decimal) else Fraction(value)


def dollars(amount: NanoUsd | Fraction, digits: int = 4) -> str:
    """For people: '$0.5718'."""
    quantum = Decimal(1).scaleb(-digits)
    value = (Decimal(Fraction(amount).numerator) / Decimal(Fraction(amount).denominator)) / NANO
    return f"${value.quantize(quantum, ROUND_HALF_EVEN):,}"
