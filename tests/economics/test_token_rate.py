"""A price by the token, made ready for many requests, is the same price."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gateway.economics.money import rounded_quotient
from gateway.economics.prices import PerTokenCost, TokenRate

prices = st.fractions(min_value=0, max_value=10**6, max_denominator=10**6)
counts = st.integers(0, 10**7)


@given(prices, prices, counts, counts)
def test_it_rounds_once_and_as_the_exact_price_does(per_input: Fraction, per_output: Fraction, i: int, o: int) -> None:
    assert TokenRate.of(per_input, per_output).price(i, o) == PerTokenCost(per_input, per_output).price(i, o)


@given(st.integers(0, 10**12), st.integers(1, 10**6))
def test_a_rounded_quotient_is_the_rounded_fraction(numerator: int, denominator: int) -> None:
    assert rounded_quotient(numerator, denominator) == round(Fraction(numerator, denominator))
