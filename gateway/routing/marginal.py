"""What one more request adds to the bill if it is sent to a backend now (ECONOMICS.md: routing uses marginal cost)."""

from __future__ import annotations

from gateway.economics.money import NanoUsd, rounded_quotient
from gateway.economics.prices import AmortizedCost, CostModel, PerTokenCost, ProvisionedCost, WindowCost
from gateway.economics.windows import WindowView


def marginal_nanousd(
    cost: CostModel | None, window: WindowView | None, input_tokens: int, output_tokens: float
) -> NanoUsd | None:
    """n$; None: unknown, because a price is."""
    match cost:
        case None:
            return None
        case AmortizedCost():
            energy = cost.energy_nanousd_per_output_token
            return rounded_quotient(energy.numerator * round(output_tokens), energy.denominator)
        case PerTokenCost():
            return cost.price(input_tokens, round(output_tokens))
        case ProvisionedCost():
            return 0
        case WindowCost():
            free = window is not None and window.copies > 0 and window.room > 0 and window.free_seconds > 0
            return 0 if free else cost.nanousd_per_window
