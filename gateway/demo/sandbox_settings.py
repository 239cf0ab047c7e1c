"""The sandbox's settings for the demo, from the policy's own prices and speeds: one source for both sides."""

from __future__ import annotations

from typing import Any

from gateway.demo.local_box import LocalBox
from gateway.policy.schema import Policy
from gateway.sandbox.bedrock.settings import TextSettings

TIME_SCALE = 25
"""How many times faster the sandbox's windows, idle times and cold starts pass. policies/demo.yaml says the same."""


def sandbox_settings(policy: Policy, text: TextSettings, box: LocalBox) -> dict[str, Any]:
    """As `SandboxSettings` reads them from a file. `text`: where its words come from."""
    cmi, base = policy.backends["cmi"], policy.backends["bedrock-base"]
    assert cmi.cost is not None
    assert cmi.cost.kind == "window"
    assert base.cost is not None
    assert base.cost.kind == "per_token"
    window_seconds = float(cmi.cost.window_minutes) * 60 * TIME_SCALE
    return {
        "time_scale": TIME_SCALE,
        "region": cmi.region,
        "text": text.model_dump(mode="json", exclude_none=True),
        "models": [
            {
                "kind": "imported",
                "arn": policy.aliases["tuned"].served_by[1].model,
                "usd_per_unit_minute": str(cmi.cost.usd_per_unit_minute),
                "units_per_copy": cmi.cost.units_per_copy,
                "window_seconds": round(window_seconds, 6),
                "idle_seconds": round(float(cmi.cost.idle_minutes) * 60 * TIME_SCALE, 6),
                "cold_start_seconds": round(cmi.cost.cold_start_seconds * TIME_SCALE, 6),
                "max_copies": cmi.cost.max_copies,
                "concurrency_per_copy": cmi.cost.concurrency_per_copy,
                "tokens_per_second": cmi.speed.single_stream_tokens_per_second,
                "first_token_seconds": cmi.speed.first_token_seconds,
                "text_model": box.tuned_model,
            },
            {
                "kind": "foundation",
                "id": policy.aliases["base"].served_by[1].model,
                "input_usd_per_1m": str(base.cost.input_usd_per_1m),
                "output_usd_per_1m": str(base.cost.output_usd_per_1m),
                "tokens_per_second": base.speed.single_stream_tokens_per_second,
                "first_token_seconds": base.speed.first_token_seconds,
                "text_model": box.base_model,
            },
        ],
    }
