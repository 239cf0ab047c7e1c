"""What the policy says, as series: prices, ceilings, budgets, what each backend is. Set once, at the start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.economics.money import NANO
from gateway.economics.prices import AmortizedCost, CostModel, PerTokenCost, ProvisionedCost, WindowCost
from gateway.metering.series import Series
from gateway.policy.schema import AliasSettings, BackendSettings, Policy
from gateway.routing.speed import SpeedModel


def describe(series: Series, policy: Policy, serving: Mapping[str, BackendSettings]) -> None:
    series.budget_limit.set(policy.routing.error_budget)
    if policy.budget.usd_per_month is not None:
        series.spend_budget(float(policy.budget.usd_per_month))
    for name, backend in serving.items():
        cost = None if backend.cost is None else backend.cost.model()
        kind = "unknown" if cost is None else cost.kind
        series.backend_info.labels(name, kind, backend.wire or "", str(backend.simulated).lower()).set(1)
        series.capacity.labels(name).set(SpeedModel.of(backend.speed).max_tokens_per_second)
        series.prediction_margin.labels(name).set(policy.routing.margin)
        _describe_cost(series, name, cost)
    for alias, settings in policy.aliases.items():
        for quantity, seconds in _ceilings(settings):
            series.ceiling.labels(alias, quantity).set(seconds)
        for target in settings.served_by:
            if target.generation is None:
                series.adapters.without_generation(target.backend, alias)
            else:
                series.adapters.serves(target.backend, alias, {target.generation: 1.0})


def _describe_cost(series: Series, name: str, cost: CostModel | None) -> None:
    match cost:
        case AmortizedCost():
            series.fixed_cost.labels(name).set(float(cost.nanousd_per_second / NANO))
        case WindowCost():
            series.fixed_cost.labels(name).set(float(cost.nanousd_per_copy_second / NANO))
        case ProvisionedCost() if cost.nanousd_per_second is not None:
            series.fixed_cost.labels(name).set(float(cost.nanousd_per_second / NANO))
        case PerTokenCost():
            for token_type, price in (
                ("input", cost.input_nanousd_per_token),
                ("output", cost.output_nanousd_per_token),
            ):
                if price is not None:
                    series.token_price.labels(name, token_type).set(float(price / NANO))


def ceilings(policy: Policy) -> dict[str, list[float]]:
    """Of all aliases, in seconds, by quantity."""
    found: dict[str, list[float]] = {}
    for settings in policy.aliases.values():
        for quantity, seconds in _ceilings(settings):
            found.setdefault(quantity, []).append(seconds)
    return found


def _ceilings(alias: AliasSettings) -> Iterator[tuple[str, float]]:
    ceiling = alias.ceiling
    for quantity, seconds in (
        ("ttft", ceiling.ttft_seconds),
        ("time_per_token", ceiling.seconds_per_output_token),
        ("latency", ceiling.latency_seconds),
    ):
        if seconds is not None:
            yield quantity, seconds
