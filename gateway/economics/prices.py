"""The four ways a backend costs money (the cost kinds), as exact values.

Each knows what it costs by the second, by the window or by the token; none knows a clock, a backend or a request.
Amounts are nano-dollars (n$); rates are exact `Fraction`s of n$, so nothing is rounded before it is booked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import Literal, TypeAlias

from gateway.economics.money import SECONDS_PER_MONTH, NanoUsd, round_half_even, rounded_quotient

CostKind: TypeAlias = Literal["amortized", "window", "per_token", "provisioned"]


@dataclass(frozen=True, slots=True)
class AmortizedCost:
    """An owned box: a flat amount a month, busy or idle."""

    nanousd_per_month: Fraction
    energy_nanousd_per_output_token: Fraction = Fraction(0)
    kind: Literal["amortized"] = "amortized"

    @property
    def nanousd_per_second(self) -> Fraction:
        return self.nanousd_per_month / SECONDS_PER_MONTH


@dataclass(frozen=True, slots=True)
class WindowCost:
    """Bedrock Custom Model Import: each running copy is billed in whole windows, anchored at its first call.

    `idle_tail_billed`: windows follow one another until the copy goes, `idle_seconds` after its last call (True), or
    only windows in which a call began are billed (False). Which of the two AWS does is not established: a setting.
    """

    nanousd_per_unit_minute: Fraction
    units_per_copy: int
    window_seconds: Fraction
    idle_seconds: Fraction
    max_copies: int
    concurrency_per_copy: int
    cold_start_seconds: float
    idle_tail_billed: bool = True
    kind: Literal["window"] = "window"
    nanousd_per_window: NanoUsd = field(init=False, repr=False, compare=False)
    """One window of one copy, whole: rounded once, here. Worked out once, since every decision asks for it."""

    def __post_init__(self) -> None:
        whole = round_half_even(self.nanousd_per_copy_second * self.window_seconds)
        object.__setattr__(self, "nanousd_per_window", whole)

    @property
    def nanousd_per_copy_second(self) -> Fraction:
        return self.nanousd_per_unit_minute * self.units_per_copy / 60


@dataclass(frozen=True, slots=True)
class TokenRate:
    """A price by the token, made ready for pricing many requests: n$ = (i * input + o * output) / denominator."""

    input: int
    output: int
    denominator: int

    @classmethod
    def of(cls, input_nanousd: Fraction, output_nanousd: Fraction) -> TokenRate:
        denominator = lcm(input_nanousd.denominator, output_nanousd.denominator)
        return cls(int(input_nanousd * denominator), int(output_nanousd * denominator), denominator)

    def price(self, input_tokens: int, output_tokens: int) -> NanoUsd:
        """Exact, then rounded once, half to even."""
        exact = self.input * input_tokens + self.output * output_tokens
        return exact if self.denominator == 1 else rounded_quotient(exact, self.denominator)


@dataclass(frozen=True, slots=True)
class PerTokenCost:
    """On-demand list price. A price that is None is unknown: it is never read as 0."""

    input_nanousd_per_token: Fraction | None
    output_nanousd_per_token: Fraction | None
    kind: Literal["per_token"] = "per_token"
    rate: TokenRate | None = field(init=False, repr=False, compare=False)
    """Both prices, made ready once, since every decision asks; None: one of them is unknown."""

    def __post_init__(self) -> None:
        i, o = self.input_nanousd_per_token, self.output_nanousd_per_token
        object.__setattr__(self, "rate", None if i is None or o is None else TokenRate.of(i, o))

    def price(self, input_tokens: int, output_tokens: int) -> NanoUsd | None:
        """List price of one request in n$, rounded half to even once; None when a needed price is unknown."""
        if self.rate is not None:
            return self.rate.price(input_tokens, output_tokens)
        if (input_tokens and self.input_nanousd_per_token is None) or (
            output_tokens and self.output_nanousd_per_token is None
        ):
            return None
        return round_half_even(
            (self.input_nanousd_per_token or 0) * input_tokens
            + (self.output_nanousd_per_token or Fraction(0)) * output_tokens
        )


@dataclass(frozen=True, slots=True)
class ProvisionedCost:
    """Provisioned Throughput: billed by the hour from creation to deletion. The hourly price may be unknown (None)."""

    nanousd_per_unit_hour: Fraction | None
    units: int
    kind: Literal["provisioned"] = "provisioned"

    @property
    def nanousd_per_second(self) -> Fraction | None:
        return None if self.nanousd_per_unit_hour is None else self.nanousd_per_unit_hour * self.units / 3600


CostModel: TypeAlias = AmortizedCost | WindowCost | PerTokenCost | ProvisionedCost
