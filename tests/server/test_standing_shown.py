"""What the router steers by, on the metrics page of a real gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import openai

from tests.end_to_end.fleets import IMPORTED, cloud
from tests.gateway_process import API_KEY, GatewayProcess
from tests.scripted_peer import answer, scripted_peer
from tests.server.fleets import box


async def test_budget_worth_demand_and_regret_are_brought_up_to_date(
    start_gateway: Callable[..., GatewayProcess],
) -> None:
    async with scripted_peer(answer("hello")) as peer:
        gateway = start_gateway(
            backends={"box": box(peer.url), "cmi": cloud("http://127.0.0.1:9")["cmi"]},
            aliases={
                "tuned": {
                    "ceiling": {"latency_seconds": 1e-6},
                    "served_by": [{"backend": "box", "model": "m"}, {"backend": "cmi", "model": IMPORTED}],
                }
            },
        )
        assert gateway.metric("crossover_error_budget_ratio") == 0
        assert gateway.metric("crossover_captive_demand_ratio") == 0
        assert gateway.metric('crossover_window_regret_usd{backend="cmi"}') == 0
        async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:
            await client.chat.completions.create(
                model="tuned",
                messages=[{"role": "user", "content": "hi"}],
            )
        # one of one was late, and one in a hundred may be
        await asyncio.to_thread(gateway.wait_for_metric, "crossover_error_budget_ratio", 100.0)
        assert gateway.metric("crossover_answer_in_time_worth_usd") > 0
        assert gateway.metric("crossover_captive_demand_ratio") > 0
