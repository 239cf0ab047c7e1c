"""A serving path: one way to have a token made, with what it costs, how fast it is and how good its answers are."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

from gateway.economics.prices import CostModel

Capacity: TypeAlias = Literal["single", "max"]
"""single: one stream alone (the lower bound of what a path can do). max: all streams together."""


@dataclass(frozen=True, slots=True)
class Quality:
    """From an evaluation: the share of answers accepted (0 < rate <= 1) and output tokens of a mean answer."""

    accepted_rate: Fraction
    tokens_per_answer: Fraction
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """Where a price comes from."""

    region: str | None = None
    as_of: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """Speeds are output tokens/s; of one copy where the cost is a window. `cost` None: unknown."""

    name: str
    cost: CostModel | None
    single_stream_tokens_per_second: Fraction
    max_tokens_per_second: Fraction
    custom_weights: bool
    speed_assumed: bool = False
    quality: Quality | None = None
    price: Price = Price()
    band_nanousd_per_month: tuple[Fraction, Fraction] | None = None
    description: str | None = None
    simulated: bool = False

    def tokens_per_second(self, capacity: Capacity) -> Fraction:
        return self.single_stream_tokens_per_second if capacity == "single" else self.max_tokens_per_second
