"""What clients send adds no series: label values come from the policy alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.fleets import NOBODY, by_the_month, openai_wire, served_by
from tests.gateway_process import GatewayProcess

INVENTED = 10_000
AT_ONCE = 32


def series(page: str) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """Every series of a metrics page: its name and its labels."""
    return {
        (sample.name, frozenset(sample.labels.items()))
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


async def test_ten_thousand_invented_model_names_add_not_one_series(
    start_gateway: Callable[..., GatewayProcess],
) -> None:
    gateway = start_gateway(
        backends={"box": openai_wire(f"{NOBODY}/v1", by_the_month(), metrics_url="")},
        aliases={"tuned": served_by("box")},
    )
    before = series(gateway.metrics())
    names = iter(range(INVENTED))
    statuses: set[int] = set()
    async with aiohttp.ClientSession(headers=gateway.headers()) as session:

        async def ask() -> None:
            for number in names:
                body = {"model": f"invented-{number}", "messages": [{"role": "user", "content": "hi"}]}
                async with session.post(f"{gateway.url}/chat/completions", json=body) as answer:
                    statuses.add(answer.status)

        await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
    assert statuses == {404}
    assert gateway.metric('crossover_requests_total{backend="none",model="other",outcome="client_error"}') == INVENTED
    assert series(gateway.metrics()) == before
