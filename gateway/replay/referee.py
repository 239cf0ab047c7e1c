"""The production router inside an outside referee: a thin adapter, so that anyone can judge the routing on any trace.

    python -m gateway.replay.referee --referee sim.py --trace FILE --load 0.8 [--days 7 --start-day 7]
                                     [--set cmi_conc=8 ...] [--strategy crossover] --json

The referee is one Python file with its own world, money and verdict. Every request that it asks about is shown to the
production `Router` as `RequestFacts` and a `FleetSnapshot`, made of what a gateway can see of its own requests: how
many are in flight and how many decode, prompt tokens not yet read, copies up and starting, windows paid. Nothing of the
output length of a request is read before it has ended. The policy (prices, speeds, ceilings) is made of the referee's
settings, everything else is the shipped default.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import sys
from types import ModuleType
from typing import Any

from gateway.economics.windows import WindowView
from gateway.policy.load import parse_policy
from gateway.policy.schema import Policy
from gateway.replay.setting import Setting
from gateway.routing.decision import Decision
from gateway.routing.facts import Ceiling, RequestFacts
from gateway.routing.lengths import OutputLengths
from gateway.routing.snapshot import BackendState, FleetSnapshot

BOX, IMPORTED, ON_DEMAND = "box", "cmi", "base"
PLACES = {BOX: "local", IMPORTED: "cmi", ON_DEMAND: "base"}
"""The policy's names, and the referee's."""
MANY = 100_000
OUT_MEAN_WEIGHT = 0.002
"""The referee's own mean output length moves by so much of each answer."""


def policy_of(cfg: Any) -> Policy:
    """The policy that says what the referee's settings say."""
    alone, together = 1.0 / cfg.step(1), cfg.loc_batch / cfg.step(cfg.loc_batch)
    per_minute = cfg.win_price / (cfg.win / 60)
    ceiling = {"ttft_seconds": cfg.ttft[0], "seconds_per_output_token": cfg.tpot[0]}
    arn = "arn:aws:bedrock:us-east-1:123456789012:imported-model/referee"
    box, imported = {"backend": BOX, "model": "tuned"}, {"backend": IMPORTED, "model": arn}
    base = {"backend": ON_DEMAND, "model": "base", "quality": "base"}
    document = {
        "version": 1,
        "auth": {"open": True},
        "routing": {"when_late": "lower_quality", "error_budget": cfg.eps},
        "backends": {
            BOX: {
                "wire": "openai",
                "base_url": "http://127.0.0.1:9/v1",
                "max_in_flight": MANY,
                "cost": {"kind": "amortized", "usd_per_month": _decimal(cfg.box_month)},
                "speed": {
                    "single_stream_tokens_per_second": alone,
                    "max_tokens_per_second": together,
                    "at_concurrency": cfg.loc_batch,
                    "prompt_tokens_per_second": cfg.loc_prefill,
                    "first_token_seconds": 0,
                    "prompt_share_while_decoding": cfg.loc_share,
                },
            },
            IMPORTED: {
                "wire": "bedrock",
                "region": "us-east-1",
                "max_in_flight": MANY,
                "cost": {
                    "kind": "window",
                    "usd_per_unit_minute": _decimal(per_minute),
                    "units_per_copy": 1,
                    "window_minutes": _decimal(cfg.win / 60),
                    "idle_minutes": _decimal(cfg.win / 60),
                    "max_copies": cfg.cmi_max,
                    "concurrency_per_copy": cfg.cmi_conc,
                    "cold_start_seconds": cfg.cmi_cold,
                    "idle_tail_billed": cfg.billing == "active",
                },
                "speed": {
                    "single_stream_tokens_per_second": cfg.cmi_tps,
                    "at_concurrency": cfg.cmi_conc,
                    "prompt_tokens_per_second": cfg.cmi_prefill,
                    "first_token_seconds": cfg.cmi_rtt,
                },
            },
            ON_DEMAND: {
                "wire": "bedrock",
                "region": "us-east-1",
                "max_in_flight": MANY,
                "cost": {
                    "kind": "per_token",
                    "input_usd_per_1m": _decimal(cfg.base_price * 1e6),
                    "output_usd_per_1m": _decimal(cfg.base_price * 1e6),
                },
                "speed": {
                    "single_stream_tokens_per_second": cfg.base_tps,
                    "at_concurrency": MANY,
                    "prompt_tokens_per_second": 20000,
                    "first_token_seconds": cfg.base_rtt,
                },
            },
        },
        "aliases": {
            "tuned": {"needs": "tuned", "ceiling": ceiling, "served_by": [box, imported, base]},
            "base": {"needs": "any", "ceiling": ceiling, "served_by": [box, imported, base]},
        },
    }
    return parse_policy(json.dumps(document), "the referee's settings")


def _decimal(value: float) -> str:
    return f"{value:.12f}"


class Judged:
    """A policy object as the referee wants it: `route(world, request)`, `done(world, request, bad)`."""

    def __init__(self, cfg: Any, **routing: Any) -> None:
        setting = Setting.of(policy_of(cfg))
        self._router = setting.router(**routing)
        self._ceilings = [Ceiling(ttft, per_token) for ttft, per_token in zip(cfg.ttft, cfg.tpot, strict=True)]
        self._facts: dict[int, RequestFacts] = {}
        self._lengths = OutputLengths()
        self._out_mean: float | None = None
        self._window_seconds, self._tail = cfg.win, cfg.billing == "active"
        self._price = setting.places[1].cost.nanousd_per_window  # type: ignore[union-attr]

    def route(self, world: Any, request: Any) -> str | float:
        now = world.now
        if self._out_mean is None:
            self._out_mean = world.out_mean
        known = self._facts.get(id(request))
        facts = RequestFacts(
            alias="tuned" if request.tuned else "base",
            operation="chat",
            input_tokens=int(request.inn),
            ceiling=self._ceilings[0 if request.inter else 1],
            elapsed_seconds=now - request.t,
            asked_before=known is not None,
        )
        self._facts[id(request)] = facts
        decision: Decision = self._router.decide(facts, self._fleet(world))
        self._router.note(facts, decision, now)
        if decision.warm is not None:
            world.cmi.open()
        if decision.hold_seconds is not None:
            return decision.hold_seconds
        assert decision.chosen is not None, "the strategy refuses nobody here"
        return PLACES[decision.chosen.backend]

    def done(self, world: Any, request: Any, bad: bool) -> None:
        """The answer's length is known now: it is what moved the referee's running mean."""
        facts = self._facts.pop(id(request))
        assert self._out_mean is not None
        length = self._out_mean + (world.out_mean - self._out_mean) / OUT_MEAN_WEIGHT
        self._out_mean = world.out_mean
        self._lengths.saw(facts.alias, "", round(length))
        self._router.ended(facts, bool(bad), world.now)

    def _fleet(self, world: Any) -> FleetSnapshot:
        now, box, cmi = world.now, world.loc, world.cmi
        reading = box.pf is not None
        in_flight = box.running + box.waiting
        unread = box.qtok + (box.left if reading else 0.0)
        imported_in_flight = sum(copy[2] for copy in cmi.copies) + len(cmi.q)
        free = max(0.0, cmi.free_until() - now) if cmi.copies else 0.0
        window = WindowView(
            copies=len(cmi.copies),
            in_flight=imported_in_flight,
            room=max(0, cmi.room()) if cmi.copies else 0,
            seconds_left=free + (self._window_seconds if self._tail and cmi.copies else 0.0),
            free_seconds=free,
            next_window_nanousd=self._price,
        )
        cold = not cmi.copies and bool(cmi.warm)
        states = {
            BOX: BackendState(
                name=BOX,
                in_flight=in_flight,
                decoding=len(box.heap),
                unread_prompt_tokens=round(unread),
                prompt_share=box.u,
                max_in_flight=MANY,
            ),
            IMPORTED: BackendState(
                name=IMPORTED,
                in_flight=imported_in_flight,
                max_in_flight=MANY,
                window=window,
                restoring_seconds=cmi.eta() if cold else None,
                copies_starting=len(cmi.warm),
            ),
            ON_DEMAND: BackendState(name=ON_DEMAND, in_flight=len(world.base), max_in_flight=MANY),
        }
        return FleetSnapshot(now, states, self._lengths.by_alias)


def load_referee(path: str) -> ModuleType:
    """The referee's file as a module."""
    spec = importlib.util.spec_from_file_location("crossover_referee", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"--referee {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def settings(cfg: Any, changes: list[str]) -> Any:
    """The referee's settings with `name=value` changes; a tuple's values are separated by commas."""
    fields = {field.name: field for field in dataclasses.fields(cfg)}
    values: dict[str, Any] = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in fields:
            raise SystemExit(f"--set {change}: no setting '{name}'. There are: {', '.join(fields)}")
        now = getattr(cfg, name)
        try:
            if isinstance(now, tuple):
                values[name] = tuple(float(part) for part in text.strip("()").split(","))
            else:
                values[name] = text if isinstance(now, str) else type(now)(text)
        except ValueError:
            raise SystemExit(f"--set {change}: '{text}' is not like {now!r}") from None
    return dataclasses.replace(cfg, **values)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m gateway.replay.referee", description="Judge the production router with an outside referee."
    )
    parser.add_argument("--referee", required=True, help="the referee's Python file")
    parser.add_argument("--trace", required=True, help="csv or csv.gz: arrival_s, in_tokens, out_tokens")
    parser.add_argument(
        "--load", type=float, default=0.8, help="target load of the box; 1 is all it can do (default 0.8)"
    )
    parser.add_argument("--days", type=float, default=None, help="days of the trace (default: all)")
    parser.add_argument("--start-day", type=float, default=0.0, help="first day (default 0)")
    parser.add_argument("--seed", type=int, default=0, help="of thinning and labels (default 0)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the referee")
    parser.add_argument("--strategy", default="crossover", help="routing strategy (default crossover)")
    parser.add_argument("--json", action="store_true", help="print the row as JSON")
    asked = parser.parse_args(argv)
    referee = load_referee(asked.referee)
    cfg = settings(referee.Cfg(), asked.set)
    requests, span = referee.load_trace(asked.trace, cfg, asked.load, asked.days, asked.start_day, asked.seed)
    judged = Judged(cfg, strategy=asked.strategy)
    row = referee.simulate(requests, span, judged, cfg, f"crossover ({asked.strategy})")
    keys = ("policy", "usd", "bad", "late", "wrong", "share", "windows", "opens", "p95", "n")
    told: dict[str, Any] = {
        key: float(row[key]) if key in ("usd", "bad", "late", "wrong", "windows", "opens", "p95") else row[key]
        for key in keys
    }
    if asked.json:
        sys.stdout.write(json.dumps(told) + "\n")
        return
    share = ", ".join(f"{name} {part:.1%}" for name, part in told["share"].items())
    sys.stdout.write(
        f"${told['usd']:.0f} a month, {told['bad']:.2%} bad ({told['late']:.2%} late, {told['wrong']:.2%} wrong), "
        f"{told['windows']:.0f} windows a month; {share}\n"
    )


if __name__ == "__main__":
    main()
