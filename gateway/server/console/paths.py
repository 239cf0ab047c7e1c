"""What each path costs now, and each box against the others: the console's figures of money, as JSON-ready data."""

from __future__ import annotations

from typing import Any, Literal

from gateway.economics.crossover import Crossover
from gateway.economics.money import usd
from gateway.economics.path import Path
from gateway.economics.prices import AmortizedCost, WindowCost
from gateway.economics.serving import average_cost
from gateway.metering.totals import Change
from gateway.server.console.verdict import Sentence, Standing, verdict
from gateway.server.core import Core
from gateway.server.crossings import live_crossovers, mix_of, usd_per_1m_at_full

TRAILING_SECONDS = 300.0
"""Figures of now are over five minutes: dollars per token over less are noise."""


class Now:
    """One moment's figures, worked out once for all parts of the page."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.at = core.clock()
        self.paths = {path.name: path for path in core.paths}
        self.lately = core.meter.totals.over(TRAILING_SECONDS)
        self.capacity = {name: tracker.capacity for name, tracker in core.fleet.trackers.items()}
        self.crossovers = live_crossovers(core.paths, self.capacity, core.meter.totals)

    @property
    def boxes(self) -> list[Path]:
        return [path for path in self.paths.values() if isinstance(path.cost, AmortizedCost)]

    def utilization(self, name: str, change: Change | None = None) -> float:
        over = self.lately if change is None else change
        return over["output", name] / (self.capacity[name] * over.seconds) if over.seconds else 0.0

    def against(self, box: Path) -> list[Crossover]:
        return [one for one in self.crossovers if one.box == box.name]


def usd_per_1m(nanousd: int, output_tokens: int) -> float | None:
    """None: nothing was served."""
    return usd(nanousd) / output_tokens * 1e6 if output_tokens else None


def cost_per_1m(change: Change, name: str, what: Literal["cost", "busy"] = "cost") -> float | None:
    """Of what a backend served. None also where some of it has no known price: what is left would be too low."""
    return None if change["unpriced", name] else usd_per_1m(change[what, name], change["output", name])


def path_rows(now: Now) -> list[dict[str, Any]]:
    return [_path(now, path) for path in now.paths.values()]


def _path(now: Now, path: Path) -> dict[str, Any]:
    name, lately, totals = path.name, now.lately, now.core.meter.totals
    return {
        "name": name,
        "cost_kind": None if path.cost is None else path.cost.kind,
        "description": path.description,
        "simulated": path.simulated,
        "custom_weights": path.custom_weights,
        "curve": _curve(now, path),
        "usd_per_1m": {
            "reservation": cost_per_1m(lately, name),
            "usage": cost_per_1m(lately, name, "busy"),
        },
        "output_tokens_per_second": lately["output", name] / lately.seconds if lately.seconds else 0.0,
        "cost_usd_since_start": usd(totals["cost", name]),
        "requests": totals["answers", name],
        "input_tokens": totals["input", name],
        "output_tokens": totals["output", name],
        "unpriced_tokens": totals["unpriced", name],
    }


def _curve(now: Now, path: Path) -> dict[str, Any]:
    """Its cost at full use, and what that is divided by. A list price is of the mix that the first box has served
    (without a box, of its own), so that lines on one chart are of the same tokens."""
    if isinstance(path.cost, AmortizedCost):
        full = usd_per_1m_at_full(path, now.capacity[path.name])
        return {"usd_per_1m": float(full), "divided_by": "utilization"}
    mix = mix_of(now.core.meter.totals, now.boxes[0].name if now.boxes else path.name)
    average = average_cost(path, "single", mix)
    price = average.usd_per_1m_tokens
    return {"usd_per_1m": None if price is None else float(price), "divided_by": average.divided_by}


def box_rows(now: Now) -> list[dict[str, Any]]:
    return [_box(now, box) for box in now.boxes]


def _box(now: Now, box: Path) -> dict[str, Any]:
    lately, name = now.lately, box.name
    return {
        "name": name,
        "simulated": box.simulated,
        "utilization": now.utilization(name),
        "capacity_tokens_per_second": now.capacity[name],
        "usd_per_1m_at_full": float(usd_per_1m_at_full(box, now.capacity[name])),
        "usd_per_1m": cost_per_1m(lately, name),
        "usd_per_1m_usage": cost_per_1m(lately, name, "busy"),
        "crossovers": [
            {
                "against": one.against,
                "utilization": None if one.utilization is None else float(one.utilization),
                "usd_per_1m": _float(one.against_usd_per_1m_tokens),
                "wins": one.wins,
                "simulated": now.paths[one.against].simulated,
                "same_weights": one.same_weights,
            }
            for one in now.against(box)
        ],
        "elsewhere": [
            {
                "path": one.against,
                "usd_per_1m": usd_per_1m(lately["elsewhere", name, one.against], lately["output", name]),
                "simulated": now.paths[one.against].simulated,
            }
            for one in now.against(box)
        ],
    }


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def rival(now: Now, box: Path) -> Crossover | None:
    """The path that a box is held against first: the cheapest with the same weights, else the cheapest."""
    priced = [one for one in now.against(box) if one.against_usd_per_1m_tokens]
    return min(priced, key=lambda one: (not one.same_weights, one.against_usd_per_1m_tokens or 0), default=None)


def _least_with_other_weights(now: Now, box: Path) -> tuple[str, float] | None:
    """(path, US dollars for the tokens that the box served lately)."""
    priced = [
        (one.against, usd(now.lately["elsewhere", box.name, one.against]))
        for one in now.against(box)
        if not one.same_weights and one.against_usd_per_1m_tokens
    ]
    return min(priced, key=lambda found: found[1], default=None)


def sentence(now: Now) -> Sentence:
    """Of the first box."""
    for box in now.boxes:
        found = rival(now, box)
        if found is None:
            continue
        assert isinstance(box.cost, AmortizedCost)
        lately, elsewhere = now.lately, now.lately["elsewhere", box.name, found.against]
        return verdict(
            Standing(
                box.name, found.against, usd(lately["cost", box.name]), usd(elsewhere), lately["output", box.name],
                lately.seconds, float(box.cost.nanousd_per_second) * 3600 / 1e9, now.utilization(box.name),
                _float(found.utilization), isinstance(now.paths[found.against].cost, WindowCost),
                _least_with_other_weights(now, box),
            )
        )  # fmt: skip
    return verdict(None)
