"""The console's past: a point a second over a quarter of an hour, or a point a minute over a day. Each is of the five
minutes before it, as the figures of now are."""

from __future__ import annotations

from typing import Any

from gateway.economics.money import usd
from gateway.metering.totals import LONG_SECONDS
from gateway.server.console.paths import Now, cost_per_1m, usd_per_1m
from gateway.server.core import Core

SPANS: dict[str, tuple[float, int]] = {"15m": (900.0, 1), "24h": (86400.0, LONG_SECONDS)}
"""Seconds in all, and between points."""
MOST_POINTS = 300
"""A chart has no more pixels to spend; of more points every n-th is sent."""


def history(core: Core, span: str) -> dict[str, Any]:
    """`span`: one of `SPANS`."""
    seconds, step = SPANS[span]
    moments = core.meter.totals.moments(seconds)
    every = max(1, -(-len(moments) // MOST_POINTS))
    moments = moments[::-1][::every][::-1]
    now = Now(core)
    return {
        "span": span,
        "step_seconds": step * every,
        "at": [core.meter.wall(at) for at, _ in moments],
        "series": {
            name: {
                "usd_per_1m": [cost_per_1m(change, name) for _, change in moments],
                "output_tokens_per_second": [change["output", name] / change.seconds for _, change in moments],
            }
            for name in now.paths
        },
        "boxes": {
            box.name: {
                "utilization": [now.utilization(box.name, change) for _, change in moments],
                "elsewhere": {
                    one.against: [
                        usd_per_1m(change["elsewhere", box.name, one.against], change["output", box.name])
                        for _, change in moments
                    ]
                    for one in now.against(box)
                },
            }
            for box in now.boxes
        },
        "spent_usd_per_hour": [
            usd(sum(change["cost", name] for name in now.paths)) / change.seconds * 3600 for _, change in moments
        ],
    }
