"""How figures of a gate read: shares, differences of shares, small amounts of money. Rounded here and nowhere else."""

from __future__ import annotations

import math


def percent(share: float) -> str:
    """'60%', '33.3%'."""
    return f"{share:.0%}" if abs(share * 100 - round(share * 100)) < 1e-9 else f"{share:.1%}"


def points(share: float) -> str:
    """A difference of shares where the column says the unit: '+50.0'."""
    return f"{'+' if share > 0 else ''}{share * 100:.1f}"


def signed(share: float) -> str:
    """A difference of shares, in points: '+50.0 points'."""
    return f"{points(share)} points"


def dollars(usd: float) -> str:
    """'$27.50', '$0.31', '$0.000012': two digits of what is small, and never an exponent."""
    if usd <= 0:
        return "$0"
    digits = 2 if usd >= 0.1 else min(1 - math.floor(math.log10(usd)), 15)
    return f"${usd:,.{digits}f}"


def dollars_or_nothing(usd: float | None) -> str | None:
    return None if usd is None else dollars(usd)
