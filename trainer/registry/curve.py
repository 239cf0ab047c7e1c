"""A training run's curve in short: what it began at, where it ended, and a line a terminal can show. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

_BARS = "▁▂▃▄▅▆▇█"


def loss_of(run: Mapping[str, Any]) -> float | None:
    """The loss to judge a version by: the best held-out loss, else the last one of training. None: not recorded."""
    totals = run.get("totals")
    for name in ("best_evaluation_loss", "final_loss"):
        value = totals.get(name) if isinstance(totals, Mapping) else None
        if isinstance(value, int | float):
            return float(value)
    points = losses(run, "curve")
    return points[-1] if points else None


def losses(run: Mapping[str, Any], name: str) -> list[float]:
    """The losses of `curve` (each step's) or `evaluations` (of the held-out rows), in order, as run.json has them."""
    points = run.get(name)
    if not isinstance(points, Sequence) or isinstance(points, str):
        return []
    values = [point.get("loss") for point in points if isinstance(point, Mapping)]
    return [float(value) for value in values if isinstance(value, int | float)]


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """The values as a row of bars, each the mean of an equal share of them; empty for fewer than two."""
    if len(values) < 2:
        return ""
    width = min(width, len(values))
    edges = [round(place * len(values) / width) for place in range(width + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    step = (high - low) / (len(_BARS) - 1) or 1.0
    return "".join(_BARS[round((mean - low) / step)] for mean in means)
