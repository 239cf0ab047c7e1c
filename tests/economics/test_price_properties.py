"""What must hold for every price: exact integers, no unknown read as 0, crossovers that move the right way."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.economics.crossover import crossover_utilization, crossovers
from gateway.economics.decision import accepted_answers, decision_table
from gateway.economics.money import NANO, SECONDS_PER_MONTH, dollars, nanousd
from gateway.economics.path import Path, Quality
from gateway.economics.prices import AmortizedCost, CostModel, PerTokenCost, ProvisionedCost, WindowCost
from gateway.economics.serving import average_cost, reservation_usd_per_1m, usage_usd_per_1m

prices = st.decimals(min_value=Decimal("0.0001"), max_value=Decimal(100_000), places=5)
speeds = st.decimals(min_value=Decimal("0.1"), max_value=Decimal(10_000), places=2).map(Fraction)
shares = st.integers(1, 1000).map(lambda thousandths: Fraction(thousandths, 1000))
tokens = st.integers(0, 10**9)


def path(name: str, cost: CostModel | None, speed: Fraction = Fraction(10), quality: Quality | None = None) -> Path:
    return Path(name, cost, speed, speed, custom_weights=True, quality=quality)


def box(usd_per_month: Decimal | int) -> AmortizedCost:
    return AmortizedCost(Fraction(usd_per_month) * NANO)


@given(st.decimals(min_value=0, max_value=10**9, places=9))
def test_nine_decimals_of_a_dollar_are_whole_nano_dollars(amount: Decimal) -> None:
    assert Decimal(nanousd(amount)) / NANO == amount


@given(st.floats())
def test_a_float_is_never_money(amount: float) -> None:
    with pytest.raises(TypeError, match="must not be a float"):
        nanousd(amount)  # type: ignore[arg-type]


def test_a_list_price_of_0_22_is_exactly_220_nano_dollars_a_token() -> None:
    price = Fraction("0.22") * NANO / 1_000_000
    assert price == 220
    assert PerTokenCost(price, price).price(1_000, 1) == 220_220


@given(st.lists(st.tuples(tokens, tokens), max_size=20))
def test_requests_at_a_whole_price_add_up_to_the_price_of_their_sum(requests: list[tuple[int, int]]) -> None:
    cost = PerTokenCost(Fraction(220), Fraction(220))
    total = cost.price(sum(one for one, _ in requests), sum(two for _, two in requests))
    assert sum(cost.price(one, two) or 0 for one, two in requests) == total


@given(tokens, tokens)
def test_an_unknown_price_prices_nothing_that_needs_it(input_tokens: int, output_tokens: int) -> None:
    half = PerTokenCost(None, Fraction(220))
    assert (half.price(input_tokens, output_tokens) is None) == (input_tokens > 0)
    none = PerTokenCost(None, None)
    assert (none.price(input_tokens, output_tokens) is None) == (input_tokens + output_tokens > 0)


@given(shares, speeds)
def test_an_unknown_price_never_becomes_zero_in_any_report(utilization: Fraction, speed: Fraction) -> None:
    quality = Quality(Fraction(1, 2), Fraction(500))
    unknown = [
        path("no-cost", None, speed, quality),
        path("no-output", PerTokenCost(Fraction(1), None), speed, quality),
        path("no-hourly", ProvisionedCost(None, 2), speed, quality),
    ]
    paths = [path("box", box(200), speed, quality), *unknown]
    for one in unknown:
        assert average_cost(one).usd_per_1m_tokens is None
        assert average_cost(one).at(utilization) is None
    for row in accepted_answers(paths, utilization):
        assert (row.usd_per_accepted_answer is None) == (row.path != "box")
        assert (row.token_rank is None) == (row.path != "box")
    for decision in decision_table(paths):
        assert decision.per_token is not None
        assert decision.per_token.name == "box"
    assert all(one.utilization is None and one.wins is None for one in crossovers(paths))
    assert decision_table(unknown)[0].per_token is None


@given(prices, prices, prices, speeds)
def test_a_dearer_box_crosses_later_and_a_dearer_cloud_sooner(
    month: Decimal, rate: Decimal, more: Decimal, speed: Fraction
) -> None:
    def at(month: Fraction, rate: Fraction) -> Fraction:
        cloud = path("cloud", PerTokenCost(None, rate * NANO / 1_000_000), speed)
        (found,) = crossovers([path("box", AmortizedCost(month * NANO), speed), cloud])
        assert found.utilization is not None
        return found.utilization

    base = at(Fraction(month), Fraction(rate))
    assert at(Fraction(month) + Fraction(more), Fraction(rate)) > base
    assert at(Fraction(month), Fraction(rate) + Fraction(more)) < base


@given(prices, prices, speeds, speeds)
def test_at_the_crossover_both_paths_cost_the_same(
    month: Decimal, rate: Decimal, box_speed: Fraction, cloud_speed: Fraction
) -> None:
    window = WindowCost(Fraction(rate) * NANO, 2, Fraction(300), Fraction(300), 1, 16, 60.0)
    owned, cloud = path("box", box(month), box_speed), path("cloud", window, cloud_speed)
    (found,) = crossovers([owned, cloud])
    assert found.utilization is not None
    assert found.wins == (found.utilization <= 1)
    if found.wins:
        assert average_cost(owned).at(found.utilization) == average_cost(cloud).usd_per_1m_tokens


def test_a_free_cloud_is_never_beaten() -> None:
    assert crossover_utilization(Fraction(5), Fraction(0)) is None
    (found,) = crossovers([path("box", box(200)), path("free", PerTokenCost(Fraction(0), Fraction(0)))])
    assert found.utilization is None
    assert found.wins is False


@given(prices, speeds, shares)
def test_the_reservation_basis_of_a_month_is_the_average_at_its_utilization(
    month: Decimal, speed: Fraction, utilization: Fraction
) -> None:
    cost = box(month)
    served = speed * utilization * SECONDS_PER_MONTH
    exact_tokens = int(served)
    if exact_tokens:
        booked = reservation_usd_per_1m(cost, SECONDS_PER_MONTH, exact_tokens)
        expected = average_cost(path("box", cost, speed)).at(utilization)
        assert booked is not None
        assert expected is not None
        assert booked * exact_tokens == expected * served


def test_the_usage_basis_counts_only_the_busy_time() -> None:
    cost = box(200)
    assert usage_usd_per_1m(cost, 60, 840) == Fraction(200 * 10**6, 14 * SECONDS_PER_MONTH)
    assert reservation_usd_per_1m(cost, 600, 840) == 10 * Fraction(200 * 10**6, 14 * SECONDS_PER_MONTH)


def test_nothing_served_and_nothing_known_have_no_cost_per_token() -> None:
    assert reservation_usd_per_1m(box(200), 60, 0) is None
    assert reservation_usd_per_1m(ProvisionedCost(None, 1), 60, 10) is None
    with pytest.raises(ValueError, match="below 0"):
        usage_usd_per_1m(box(200), -1, 10)


@pytest.mark.parametrize("busy", [Fraction(0), Fraction(-1, 10), Fraction(11, 10)])
def test_a_utilization_outside_0_to_1_is_refused(busy: Fraction) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        average_cost(path("box", box(200))).at(busy)


def test_dollars_are_rounded_for_people_only() -> None:
    assert dollars(571_800_000) == "$0.5718"
    assert dollars(Fraction(1_234_567_890_000), 2) == "$1,234.57"
