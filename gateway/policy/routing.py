"""How requests are routed: the strategy, its error budget and its knobs. Every knob has a default that was left alone
across all replayed traces; docs/decisions/0009-routing-strategy.md says what each is worth."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.policy.base import PositiveFloat, Settings

Share = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]


class HoldSettings(Settings):
    """Requests that can wait do, at the gateway, for a quieter box or an open window."""

    share_of_ceiling: Share = Field(
        0.85, description="longest wait, as a share of the TTFT ceiling: the rest is for being answered; 0: never hold"
    )
    least_ceiling_seconds: NonNegative = Field(
        30.0, description="a TTFT ceiling below this is somebody waiting: never held for a cheaper moment"
    )
    step_seconds: PositiveFloat = Field(15.0, description="asked again after so long, or a twentieth of the ceiling")
    risk: Share = Field(
        0.3, description="chance that the box is about to turn requests away, above which one that can wait does"
    )


class BoxSettings(Settings):
    """Who may use an owned box that is getting full."""

    congestion_weight: NonNegative = Field(
        0.75,
        description="how much a request is charged for the room it takes from those that have no other cheap home: 0 "
        "ignores them, 1 takes every box-second from them at full price",
    )
    late_share: Share = Field(
        0.6, description="chance of being late, congestion included, above which a request does not go to the box"
    )
    sacrifice_weight: NonNegative = Field(
        0.4, description="how much more readily a long request is turned away than a short one when the box is full"
    )
    overload_seconds: PositiveFloat = Field(
        60.0, description="how far ahead the chance of an overload is learned: about as long as an answer takes"
    )


class WindowStrategySettings(Settings):
    """When to open a billing window of an imported model, and when to let it close (ski rental with a forecast)."""

    demand_seconds: PositiveFloat = Field(120.0, description="time constant of the demand that forecasts go by")
    regret_seconds: PositiveFloat = Field(200.0, description="time constant at which the regret of the past fades")
    eager: NonNegative = Field(
        0.25, description="share of its price that regret must reach when the forecast says that a window pays"
    )
    patient: NonNegative = Field(1.5, description="the same when the forecast says that it does not")
    extend: NonNegative = Field(
        0.0, description="as `eager`, to keep a copy that is up for one more window: no cold start is at stake"
    )
    opening_pays: PositiveFloat = Field(
        1.25, description="a forecast says that opening pays when it saves this many times the price"
    )
    extending_pays: PositiveFloat = Field(
        0.75, description="the same of one more window: below 1, since what goes on is likely to go on"
    )
    prewarm: NonNegative = Field(
        4.0, description="a copy is started before anybody is late when it would save this many times its price"
    )
    ride_load: NonNegative = Field(
        0.2, description="load of the box (requests over its batch) above which calls go to a window that is paid"
    )


class BudgetSettings(Settings):
    """The worth of one answer in time: the shadow price of the error budget, steered so that it is just spent."""

    aim: Share = Field(0.95, description="share of the budget that is meant to be spent: the rest is for surprises")
    caution: NonNegative = Field(
        1.0, description="standard deviations of a count as large as the budget that are left unspent besides"
    )
    first_worth: PositiveFloat = Field(
        9.0,
        description="where the worth of an answer in time starts: so many times its share of a window's price, were "
        "the box's whole work of that time in the window",
    )
    gain: PositiveFloat = Field(3.0, description="how strongly the worth answers to an over- or underspent budget")
    surplus_share: PositiveFloat = Field(2.0, description="of all requests so far; larger: a surplus is spent slower")
    deficit_share: PositiveFloat = Field(0.1, description="of all requests so far; larger: a deficit is mended slower")
    slack_requests: PositiveFloat = Field(2000.0, description="requests until which the budget is not yet held tight")
    drift: NonNegative = Field(1.0, description="how fast the worth's starting point follows; 0: it stays")
    drift_requests: PositiveFloat = Field(20000.0, description="requests over which that following slows down")
    memory_requests: PositiveFloat = Field(1e6, description="requests that the budget reaches back to")
    most_windows: PositiveFloat = Field(10.0, description="the most that one answer in time is worth, in windows")


class RoutingSettings(Settings):
    strategy: Literal[
        "crossover", "box-only", "imported-only", "spill", "least-busy", "lowest-cost", "ceiling-greedy"
    ] = Field("crossover", description="how a backend is chosen; all but crossover are there to be compared with")
    error_budget: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.01, description="share of requests that may be late, or answered below the quality they need"
    )
    when_late: Literal["fastest", "cheapest", "reject", "lower_quality"] = Field(
        "fastest",
        description="what becomes of a request that nobody can answer in time; lower_quality: it is answered at once "
        "by a backend of the alias that has another `quality`, and counts as wrong",
    )
    margin: Annotated[float, Field(gt=0, le=1)] = Field(
        0.95, description="share of a ceiling that a prediction may use: the rest is for its error"
    )
    budget: BudgetSettings = BudgetSettings()
    box: BoxSettings = BoxSettings()
    windows: WindowStrategySettings = WindowStrategySettings()
    hold: HoldSettings = HoldSettings()
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    max_held: Annotated[int, Field(ge=0)] = Field(
        1000, description="requests kept waiting for a cheaper moment at once; those beyond it are sent on"
    )
    decisions_kept: Annotated[int, Field(ge=1)] = Field(2000, description="decisions that /admin/decisions can explain")
    scrape_seconds: PositiveFloat = Field(1.0, description="how often vLLM's metrics are read")
