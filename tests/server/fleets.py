"""Policies for tests of the server: two boxes, of which the first is preferred."""

from __future__ import annotations

from typing import Any

from tests.gateway_process import FAST_BOX


def box(url: str, **changed: Any) -> dict[str, Any]:
    settings = {
        "wire": "openai",
        "base_url": url,
        "metrics_url": "",
        "cost": {"kind": "amortized", "usd_per_month": 200},
        "speed": FAST_BOX,
    }
    return settings | changed


def metered(url: str, **changed: Any) -> dict[str, Any]:
    """Paid by the token: dearer at the margin than an owned box, so it is asked second."""
    return box(url, cost={"kind": "per_token", "input_usd_per_1m": 0.22, "output_usd_per_1m": 0.22}, **changed)


def one(url: str, **changed: Any) -> dict[str, Any]:
    return {
        "backends": {"box": box(url, **changed)},
        "aliases": {"tuned": {"served_by": [{"backend": "box", "model": "up/stream", "generation": "domain@v0001"}]}},
    }


def two(first: str, second: str, **changed: Any) -> dict[str, Any]:
    served = [{"backend": "box", "model": "m1"}, {"backend": "cloud", "model": "m2"}]
    return {
        "backends": {"box": box(first, **changed), "cloud": metered(second)},
        "aliases": {"tuned": {"served_by": served}},
    }
