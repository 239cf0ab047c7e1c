"""Amounts inside sentences."""

from __future__ import annotations

from fractions import Fraction

from gateway.economics.money import NanoUsd
from gateway.report.tables import money
from gateway.statement.table import money_digits, nanousd_text


def usd(amount: NanoUsd) -> str:
    """'$47.02', '-$0.0034'."""
    sign = "-" if amount < 0 else ""
    return sign + nanousd_text(abs(amount), money_digits([abs(amount)]) if abs(amount) < 10**9 else 2)


def per_1m(amount: Fraction | None) -> str:
    return money(amount)
