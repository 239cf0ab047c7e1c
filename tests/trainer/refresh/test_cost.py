"""What a refresh took from serving, at the price of the box."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.policy.costs import AmortizedSettings, PerTokenSettings
from trainer.refresh.cost import cost_of

BOX = AmortizedSettings(kind="amortized", usd_per_month=Decimal(200)).model()


def test_an_hour_of_a_box_of_200_a_month_is_a_730th_of_it() -> None:
    cost = cost_of(3600, "box", BOX)
    assert cost.minutes == 60
    assert cost.usd == pytest.approx(200 / 730)
    assert cost.basis == "box at $0.2740 an hour"


def test_without_a_price_by_the_hour_there_is_none_and_it_says_why() -> None:
    tokens = PerTokenSettings(kind="per_token", input_usd_per_1m=Decimal(1), output_usd_per_1m=Decimal(1)).model()
    assert cost_of(60, "cloud", tokens).usd is None
    assert cost_of(60, "cloud", tokens).basis == "cloud is not paid by the hour"
    assert cost_of(60, None, None).usd is None
    assert "no backend is named" in cost_of(60, None, None).basis
