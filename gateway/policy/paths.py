"""The policy's backends as the serving paths that the economics compare."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from gateway.economics.money import NANO, exact
from gateway.economics.path import Path, Price, Quality
from gateway.policy.schema import AmortizedSettings, BackendSettings, Policy


def serving_paths(policy: Policy) -> list[Path]:
    """One path for each backend, in the order of the file."""
    return [serving_path(name, backend) for name, backend in policy.backends.items()]


def serving_path(name: str, backend: BackendSettings) -> Path:
    speed, quality, cost = backend.speed, backend.quality, backend.cost
    single = _decimal(speed.single_stream_tokens_per_second)
    band = None
    if isinstance(cost, AmortizedSettings) and cost.band_usd_per_month is not None:
        low, high = cost.band_usd_per_month
        band = (exact(low) * NANO, exact(high) * NANO)
    return Path(
        name=name,
        cost=None if cost is None else cost.model(),
        single_stream_tokens_per_second=single,
        max_tokens_per_second=(
            single * speed.at_concurrency
            if speed.max_tokens_per_second is None
            else _decimal(speed.max_tokens_per_second)
        ),
        custom_weights=backend.serves_custom_weights,
        speed_assumed=speed.assumed,
        quality=(
            None
            if quality is None
            else Quality(_decimal(quality.accepted_rate), _decimal(quality.tokens_per_answer), quality.source)
        ),
        price=Price(backend.price.region, backend.price.as_of, backend.price.source),
        band_nanousd_per_month=band,
        description=backend.description,
        simulated=backend.simulated,
    )


def _decimal(value: float) -> Fraction:
    """A setting as it was written: 22.4 is 224/10, not the nearest binary fraction."""
    return Fraction(Decimal(repr(value)))
