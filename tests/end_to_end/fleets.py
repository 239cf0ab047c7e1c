"""A policy with everything in it: a box, and the Bedrock sandbox as imported model and on demand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gateway.sandbox.bedrock.settings import SandboxSettings

IMPORTED = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl"
FOUNDATION = "meta.llama3-1-8b-instruct-v1:0"
TIME_SCALE = 100
"""Windows and idle time of 300 s last 3 s; a cold start of 60 s lasts 0.6."""


def sandbox_settings(**imported: Any) -> SandboxSettings:
    return SandboxSettings.model_validate(
        {
            "time_scale": TIME_SCALE,
            "models": [
                {"kind": "imported", "arn": IMPORTED, "usd_per_unit_minute": "0.05718", "max_copies": 1,
                 "tokens_per_second": 2000, "first_token_seconds": 0.01} | imported,
                {"kind": "foundation", "id": FOUNDATION, "input_usd_per_1m": "0.22", "output_usd_per_1m": "0.23",
                 "tokens_per_second": 2000, "first_token_seconds": 0.01},
            ],
        }
    )  # fmt: skip


def bedrock(url: str, cost: dict[str, Any]) -> dict[str, Any]:
    return {
        "wire": "bedrock",
        "region": "us-east-1",
        "endpoint_url": url,
        "credentials": {"access_key_id": "sandbox", "secret_access_key": "sandbox"},
        "simulated": True,
        "cost": cost,
        "speed": {"single_stream_tokens_per_second": 95, "at_concurrency": 16, "prompt_tokens_per_second": 10000},
    }


def cloud(url: str) -> dict[str, Any]:
    """The two Bedrock backends of a policy."""
    minutes = float(Decimal(5) / TIME_SCALE)
    window = {
        "kind": "window", "usd_per_unit_minute": 0.05718, "window_minutes": minutes, "idle_minutes": minutes,
        "cold_start_seconds": 60 / TIME_SCALE,
    }  # fmt: skip
    per_token = {"kind": "per_token", "input_usd_per_1m": 0.22, "output_usd_per_1m": 0.23}
    return {"cmi": bedrock(url, window), "bedrock-base": bedrock(url, per_token)}


def cloud_aliases() -> dict[str, Any]:
    """Each way to reach the sandbox as a model of its own."""

    def served(backend: str, model: str, **how: str) -> dict[str, Any]:
        return {"served_by": [{"backend": backend, "model": model, **how}]}

    return {
        "cmi-chat": served("cmi", IMPORTED),
        "cmi-completion": served("cmi", IMPORTED, body="openai-completion"),
        "cmi-meta": served("cmi", IMPORTED, body="meta"),
        "base-meta": served("bedrock-base", FOUNDATION, body="meta"),
        "base-converse": served("bedrock-base", f"us.{FOUNDATION}", api="converse"),
    }
