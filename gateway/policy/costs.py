"""What a backend costs, as the policy writes it: one settings class for each cost kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from gateway.economics.money import NANO, exact
from gateway.economics.prices import AmortizedCost, PerTokenCost, ProvisionedCost, WindowCost
from gateway.policy.base import NonNegativeDecimal, PositiveDecimal, Settings


class PriceSource(Settings):
    """Where a price comes from: printed beside every figure made of it."""

    region: str | None = None
    as_of: str | None = Field(None, description="day of the price, YYYY-MM-DD", pattern=r"^\d{4}-\d{2}-\d{2}$")
    source: str | None = None


class AmortizedSettings(Settings):
    """An owned box: a flat amount a month, or a purchase price spread over months plus its power."""

    kind: Literal["amortized"]
    usd_per_month: PositiveDecimal | None = None
    band_usd_per_month: tuple[PositiveDecimal, PositiveDecimal] | None = Field(
        None, description="lowest and highest plausible $ a month: the economics table prints both ends"
    )
    purchase_usd: PositiveDecimal | None = None
    months: PositiveDecimal | None = Field(None, description="months over which the purchase is written off")
    watts: NonNegativeDecimal | None = Field(None, description="mean draw, busy or idle")
    usd_per_kwh: NonNegativeDecimal | None = None
    energy_usd_per_1m_output_tokens: NonNegativeDecimal = Field(
        Decimal(0),
        description="extra energy of a token: the only marginal cost of an owned box. For decisions alone: "
        "the books take the month to include it",
    )

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        flat, bought = given.get("usd_per_month") is not None, given.get("purchase_usd") is not None
        if flat == bought:
            yield "give either usd_per_month, or purchase_usd with months (and watts with usd_per_kwh)"
        if bought and given.get("months") is None:
            yield "purchase_usd needs months: over how many months is the box written off?"
        if (given.get("watts") is None) != (given.get("usd_per_kwh") is None):
            yield "watts and usd_per_kwh belong together: give both or neither"
        band = given.get("band_usd_per_month")
        if isinstance(band, list | tuple) and len(band) == 2 and all(isinstance(end, int | Decimal) for end in band):
            low, high = band
            if low > high:
                yield f"band_usd_per_month is [lowest, highest], but {low} is above {high}: swap them"

    def model(self) -> AmortizedCost:
        if self.usd_per_month is not None:
            month = exact(self.usd_per_month)
        else:
            month = exact(self.purchase_usd or 0) / exact(self.months or 1)
        if self.watts is not None and self.usd_per_kwh is not None:
            month += exact(self.watts) / 1000 * 730 * exact(self.usd_per_kwh)
        return AmortizedCost(month * NANO, exact(self.energy_usd_per_1m_output_tokens) * NANO / 1_000_000)


class WindowSettings(Settings):
    """Bedrock Custom Model Import: copies billed in whole windows while they are up."""

    kind: Literal["window"]
    usd_per_unit_minute: PositiveDecimal
    units_per_copy: Annotated[int, Field(ge=1)] = Field(2, description="custom model units of one copy")
    window_minutes: PositiveDecimal = Decimal(5)
    idle_minutes: PositiveDecimal = Field(Decimal(5), description="a copy goes after this long without a call")
    max_copies: Annotated[int, Field(ge=1)] = 1
    concurrency_per_copy: Annotated[int, Field(ge=1)] = Field(
        16,
        description="streams one copy serves at once; set at import and told by no API: an assumption until measured",
    )
    cold_start_seconds: Annotated[float, Field(ge=0)] = Field(
        60.0, description="from the first call to the first token"
    )
    idle_tail_billed: bool = Field(True, description="windows go on until the copy goes, not only while calls come")

    def model(self) -> WindowCost:
        return WindowCost(
            nanousd_per_unit_minute=exact(self.usd_per_unit_minute) * NANO,
            units_per_copy=self.units_per_copy,
            window_seconds=exact(self.window_minutes) * 60,
            idle_seconds=exact(self.idle_minutes) * 60,
            max_copies=self.max_copies,
            concurrency_per_copy=self.concurrency_per_copy,
            cold_start_seconds=self.cold_start_seconds,
            idle_tail_billed=self.idle_tail_billed,
        )


class PerTokenSettings(Settings):
    """On demand, by the token. A price left out is unknown, not free: write 0 for free."""

    kind: Literal["per_token"]
    input_usd_per_1m: NonNegativeDecimal | None = None
    output_usd_per_1m: NonNegativeDecimal | None = None

    def model(self) -> PerTokenCost:
        def per_token(price: Decimal | None) -> Fraction | None:
            return None if price is None else exact(price) * NANO / 1_000_000

        return PerTokenCost(per_token(self.input_usd_per_1m), per_token(self.output_usd_per_1m))


class ProvisionedSettings(Settings):
    """Provisioned Throughput: by the hour, from creation until deletion."""

    kind: Literal["provisioned"]
    usd_per_unit_hour: NonNegativeDecimal | None = Field(
        None, description="leave out when unknown: no public price for 8B"
    )
    units: Annotated[int, Field(ge=0)] = Field(1, description="model units bought; 0: none granted, cannot serve")

    def model(self) -> ProvisionedCost:
        price = None if self.usd_per_unit_hour is None else exact(self.usd_per_unit_hour) * NANO
        return ProvisionedCost(price, self.units)


CostSettings: TypeAlias = Annotated[
    AmortizedSettings | WindowSettings | PerTokenSettings | ProvisionedSettings, Field(discriminator="kind")
]
