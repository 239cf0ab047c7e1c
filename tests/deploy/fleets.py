"""Policies for these tests, and a gateway with a backend of every kind of cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from gateway.sandbox.generator.server import serve_in_thread
from gateway.sandbox.generator.settings import GeneratorSettings
from tests.end_to_end.fleets import FOUNDATION, IMPORTED, cloud
from tests.gateway_process import FAST_BOX, GatewayProcess

NOBODY = "http://127.0.0.1:9"
"""A port that nobody listens on."""


def openai_wire(url: str, cost: dict[str, Any] | None, **changed: Any) -> dict[str, Any]:
    """A backend that speaks OpenAI's API at `url` (ends in /v1), with its metrics page beside it."""
    settings: dict[str, Any] = {"wire": "openai", "base_url": url, "speed": FAST_BOX}
    return settings | ({} if cost is None else {"cost": cost}) | changed


def by_the_token(usd_per_1m: float = 0.22) -> dict[str, Any]:
    return {"kind": "per_token", "input_usd_per_1m": usd_per_1m, "output_usd_per_1m": usd_per_1m}


def by_the_month(usd: float = 200) -> dict[str, Any]:
    return {"kind": "amortized", "usd_per_month": usd}


def served_by(*backends: str, model: str = "up", **settings: Any) -> dict[str, Any]:
    return {"served_by": [{"backend": backend, "model": model} for backend in backends], **settings}


def ask(gateway: GatewayProcess, model: str, *, pin: str | None = None, tokens: int = 10) -> int:
    """One streamed answer, read to its end. Returns the status."""
    headers = gateway.headers() | ({} if pin is None else {"x-crossover-backend": pin})
    messages = [{"role": "user", "content": "How do I reset the pump?"}]
    body = {"model": model, "messages": messages, "max_tokens": tokens, "stream": True}
    return httpx.post(f"{gateway.url}/chat/completions", json=body, headers=headers, timeout=30).status_code


@contextmanager
def one_of_each(folder: Path) -> Iterator[GatewayProcess]:
    """A box with a metrics page, an imported model, on demand, provisioned, without a price; a ledger, a budget."""
    with serve_in_thread(GeneratorSettings(models=("up",))) as box:
        provisioned = {"kind": "provisioned", "usd_per_unit_hour": 20}
        backends = cloud(NOBODY) | {
            "box": openai_wire(box.base_url, by_the_month()),
            "units": openai_wire(f"{NOBODY}/v1", provisioned, metrics_url=""),
            "unknown": openai_wire(f"{NOBODY}/v1", None, metrics_url=""),
        }
        ways = [
            *({"backend": name, "model": "up"} for name in ("box", "units", "unknown")),
            {"backend": "cmi", "model": IMPORTED},
            {"backend": "bedrock-base", "model": FOUNDATION, "api": "converse"},
        ]
        gateway = GatewayProcess(
            {
                "backends": backends,
                "aliases": {"tuned": {"ceiling": {"ttft_seconds": 5}, "served_by": ways}},
                "budget": {"usd_per_month": 300},
                "routing": {"scrape_seconds": 0.1},
            },
            folder,
        )
        try:
            ask(gateway, "tuned", pin="box")
            deadline = time.monotonic() + 10
            # What a backend says of itself, and how well it was predicted, is shown once a second.
            while not all(name in (page := gateway.metrics()) for name in ("waiting_requests{", "bias_ratio{")):
                assert time.monotonic() < deadline, page
                time.sleep(0.1)
            yield gateway
        finally:
            gateway.close()
