"""Two worlds side by side: `crossover replay` and an outside referee, each with its own physics and its own money.

    python -m gateway.replay.agreement --referee sim.py --trace FILE --load 0.8 [--load 1.5] [--days 7 --start-day 7]
                                       [--strategy NAME ...] [--set cmi_conc=8 ...] [--json]

Both serve the same requests, checked one by one, under the policy made of the referee's settings. The baselines are
each world's own: ours are the strategies of the production router, the referee's are its policy objects of the same
idea. `crossover` is the production router in both, in the referee through its adapter. Exits 1 where they differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from types import ModuleType
from typing import Any

import numpy as np

from gateway.policy.replay import ReplaySettings
from gateway.policy.schema import CeilingSettings, Policy
from gateway.replay.inputs import drawn
from gateway.replay.referee import PLACES, Judged, load_referee, policy_of, settings
from gateway.replay.requests import Requests
from gateway.replay.results import ratio, result
from gateway.replay.setting import Setting
from gateway.replay.trace import Trace, read_trace
from gateway.replay.world import simulate

USD_LIMIT = 0.02
"""Of the referee's dollars."""
BAD_LIMIT = 0.002
"""Of all requests: 0.2 points."""
COUNTERPARTS: Mapping[str, tuple[str, tuple[Any, ...]]] = {
    "box-only": ("AlwaysLocal", ()),
    "imported-only": ("AlwaysCMI", ()),
    "spill": ("Threshold", (32,)),
    "least-busy": ("LeastBusy", ()),
    "lowest-cost": ("LowestCost", ()),
    "ceiling-greedy": ("CeilingGreedy", ()),
}
"""Our strategies, and the referee's policies of the same idea."""
MAIN = "crossover"


@dataclass(frozen=True, slots=True)
class Row:
    """One policy in one world. Dollars a month, shares of all requests (0 to 1), billed windows a month."""

    usd: float
    bad: float
    late: float
    wrong: float
    windows: float
    shares: Mapping[str, float]
    """Of requests, by place."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One policy in both worlds."""

    load: float
    policy: str
    referee: Row
    replay: Row

    @property
    def usd_off(self) -> float:
        """Ours over the referee's, less 1. Where both are nothing, 0."""
        over = ratio(self.replay.usd, self.referee.usd)
        return (0.0 if self.replay.usd == 0 else float("inf")) if over is None else over - 1.0

    @property
    def bad_off(self) -> float:
        """Ours less the referee's, in shares of all requests."""
        return self.replay.bad - self.referee.bad

    @property
    def agrees(self) -> bool:
        return abs(self.usd_off) <= USD_LIMIT and abs(self.bad_off) <= BAD_LIMIT


def whole_policy(cfg: Any) -> Policy:
    """The policy of the referee's settings, with what it assumes of who asks."""
    replay = ReplaySettings(
        tuned_share=cfg.tuned,
        interactive_share=cfg.inter,
        relaxed_ceiling=CeilingSettings(ttft_seconds=cfg.ttft[1], seconds_per_output_token=cfg.tpot[1]),
    )
    return policy_of(cfg).model_copy(update={"replay": replay})


def must_be_the_same(ours: Requests, theirs: Sequence[Any]) -> None:
    """Raises ValueError at the first request in which the two worlds differ."""
    if len(ours) != len(theirs):
        raise ValueError(f"the worlds were given {len(ours)} and {len(theirs)} requests")
    columns = ("t", "inn", "out", "tuned", "inter", "ttft_max", "tpot_max")
    table = np.array([[getattr(request, name) for name in columns] for request in theirs], float)
    mine = (ours.arrival_s, ours.in_tokens, ours.out_tokens, ours.tuned, ours.interactive, ours.ttft_max, ours.tpot_max)
    for name, column, other in zip(columns, mine, table.T, strict=True):
        off = np.flatnonzero(~np.isclose(column.astype(float), other))
        if len(off):
            first = int(off[0])
            raise ValueError(f"request {first} differs in {name}: {column[first]} here, {other[first]} there")


def table(pairs: Sequence[Pair]) -> str:
    """For people: both worlds, the differences, the verdict."""
    lines = [
        f"{'load':>5s}  {'policy':15s} {'referee $':>10s} {'replay $':>10s} {'off':>7s}   {'referee bad':>11s} "
        f"{'replay bad':>10s} {'points':>7s}   {'windows':>7s} {'windows':>7s}"
    ]
    for pair in pairs:
        theirs, ours = pair.referee, pair.replay
        lines.append(
            f"{pair.load:5.0%}  {pair.policy:15s} {theirs.usd:10,.2f} {ours.usd:10,.2f} {pair.usd_off:+7.2%}   "
            f"{theirs.bad:11.3%} {ours.bad:10.3%} {100 * pair.bad_off:+7.3f}   {theirs.windows:7,.0f} "
            f"{ours.windows:7,.0f}  {'agrees' if pair.agrees else 'DIFFERS'}"
        )
    apart = sum(not pair.agrees for pair in pairs)
    verdict = "all agree" if not apart else f"{apart} of {len(pairs)} differ"
    lines.append(f"{verdict}: within {USD_LIMIT:.0%} of dollars and {100 * BAD_LIMIT:.1f} points of bad requests")
    return "\n".join(lines)


def as_json(pairs: Sequence[Pair]) -> dict[str, Any]:
    return {
        "simulated": True,
        "limits": {"usd": USD_LIMIT, "bad": BAD_LIMIT},
        "agree": all(pair.agrees for pair in pairs),
        "pairs": [
            {**asdict(pair), "usd_off": pair.usd_off, "bad_off": pair.bad_off, "agrees": pair.agrees} for pair in pairs
        ],
    }


# -- both worlds ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Case:
    """What both worlds are given."""

    referee: str
    trace: str
    load: float
    days: float | None
    start_day: float
    seed: int
    changes: tuple[str, ...]
    policy: str


def in_replay(case: _Case, recorded: Trace, cfg: Any) -> tuple[Row, Requests]:
    policy = whole_policy(cfg)
    setting = Setting.of(policy)
    requests, _ = drawn(recorded, policy, case.load, case.start_day, case.days, case.seed)
    run = simulate(requests, setting.router(strategy=case.policy), setting, name=case.policy)
    told = result(run, {})
    shares = {backend.name: backend.share for backend in told.backends}
    return Row(told.usd_per_month, told.bad, told.late, told.wrong, told.windows.per_month, shares), requests


def in_referee(case: _Case, referee: ModuleType, cfg: Any) -> tuple[Row, list[Any]]:
    requests, span = referee.load_trace(case.trace, cfg, case.load, case.days, case.start_day, case.seed)
    if case.policy == MAIN:
        policy: Any = Judged(cfg, strategy=MAIN)
    else:
        name, arguments = COUNTERPARTS[case.policy]
        policy = getattr(referee, name)(*arguments)
    row = referee.simulate(requests, span, policy, cfg, case.policy)
    shares = {ours: float(row["share"][theirs]) for ours, theirs in PLACES.items()}
    usd, bad, late, wrong, windows = (float(row[key]) for key in ("usd", "bad", "late", "wrong", "windows"))
    return Row(usd, bad, late, wrong, windows, shares), requests


def pair_of(case: _Case) -> Pair:
    referee = load_referee(case.referee)
    cfg = settings(referee.Cfg(), list(case.changes))
    ours, mine = in_replay(case, read_trace(case.trace), cfg)
    theirs, others = in_referee(case, referee, cfg)
    must_be_the_same(mine, others)
    return Pair(case.load, case.policy, theirs, ours)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m gateway.replay.agreement", description="Hold the replay's world against an outside referee."
    )
    parser.add_argument("--referee", required=True, help="the referee's Python file")
    parser.add_argument("--trace", required=True, help="csv or csv.gz: arrival_s, in_tokens, out_tokens")
    parser.add_argument("--load", type=float, action="append", help="target load of the box; repeat it (default 0.8)")
    parser.add_argument("--days", type=float, default=None, help="days of the trace (default: all)")
    parser.add_argument("--start-day", type=float, default=0.0, help="first day (default 0)")
    parser.add_argument("--seed", type=int, default=0, help="of thinning and labels (default 0)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the referee")
    parser.add_argument(
        "--strategy", action="append", choices=(MAIN, *COUNTERPARTS), help="which policies (default: all); repeat it"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes at once (default 1)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(argv)
    cases = [
        _Case(asked.referee, asked.trace, load, asked.days, asked.start_day, asked.seed, tuple(asked.set), policy)
        for load in asked.load or [0.8]
        for policy in asked.strategy or (MAIN, *COUNTERPARTS)
    ]
    if asked.jobs > 1:
        with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool:
            pairs = list(pool.map(pair_of, cases))
    else:
        pairs = [pair_of(case) for case in cases]
    sys.stdout.write((json.dumps(as_json(pairs), indent=2) if asked.json else table(pairs)) + "\n")
    if not all(pair.agrees for pair in pairs):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
