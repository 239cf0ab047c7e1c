"""What a refresh took from serving: the minutes in which the box trained, at the price of the box. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from gateway.economics.money import NANO
from gateway.economics.prices import AmortizedCost, CostModel, ProvisionedCost


@dataclass(frozen=True, slots=True)
class RefreshCost:
    """`minutes` the box was busy with training; `usd`: its price for that time, null where it has none by the hour."""

    minutes: float
    usd: float | None
    basis: str


def cost_of(training_seconds: float, backend: str | None, cost: CostModel | None) -> RefreshCost:
    """`cost`: of the backend that serves the adapter, taken for the machine that trained it.

    An owned box costs the same whether it serves or trains: this is what its minutes are worth, not an extra bill.
    """
    minutes = training_seconds / 60
    if backend is None:
        return RefreshCost(minutes, None, "no backend is named in `publish`: there is no price to take")
    match cost:
        case AmortizedCost():
            per_second = cost.nanousd_per_second
        case ProvisionedCost() if cost.nanousd_per_second is not None:
            per_second = cost.nanousd_per_second
        case _:
            return RefreshCost(minutes, None, f"{backend} is not paid by the hour")
    usd = float(Decimal(training_seconds) * Decimal(per_second.numerator) / Decimal(per_second.denominator) / NANO)
    return RefreshCost(minutes, usd, f"{backend} at ${float(per_second) / NANO * 3600:.4f} an hour")
