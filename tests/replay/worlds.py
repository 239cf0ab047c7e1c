"""Small worlds that can be worked out by hand: the shipped replay policy, a few requests, routers of one idea."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gateway.policy import Policy, parse_policy
from gateway.replay.requests import Requests
from gateway.replay.run import Run
from gateway.replay.setting import Setting
from gateway.replay.world import simulate
from gateway.routing.decision import Candidate, Decision, Refusal
from gateway.routing.facts import RequestFacts
from gateway.routing.snapshot import FleetSnapshot

LAB = Path(__file__).parents[2] / "policies" / "replay-lab.yaml"
HOUR = 3600.0
WINDOW_NANOUSD = 571_800_000


def policy(**changes: Mapping[str, Any]) -> Policy:
    """The shipped policy; `cmi={"max_copies": 1}` changes that backend's cost, `cmi_speed={...}` its speed."""
    data = yaml.safe_load(LAB.read_text())
    for name, settings in changes.items():
        backend, _, section = name.partition("_")
        data["backends"][backend][section or "cost"].update(settings)
    return parse_policy(yaml.safe_dump(data), "test.yaml", {})


def setting(**changes: Mapping[str, Any]) -> Setting:
    return Setting.of(policy(**changes))


def requests(
    *rows: Sequence[float], span: float = HOUR, tuned: bool = True, interactive: bool = True, ttft: float | None = None
) -> Requests:
    """Each row: (arrival in seconds, prompt tokens, output tokens)."""
    table = np.array(sorted(rows), float)
    n = len(table)
    ttft_max = (10.0 if interactive else 300.0) if ttft is None else ttft
    return Requests(
        arrival_s=table[:, 0],
        in_tokens=table[:, 1],
        out_tokens=table[:, 2],
        tuned=np.full(n, tuned),
        interactive=np.full(n, interactive),
        ttft_max=np.full(n, ttft_max),
        tpot_max=np.full(n, 0.2 if interactive else 1.0),
        latency_max=np.full(n, math.inf),
        alias=np.full(n, 0 if tuned else 1, np.int16),
        aliases=("tuned", "base"),
        span_seconds=span,
        source="by hand",
    )


def decision_for(alias: str, backend: str, world: Setting, **more: Any) -> Decision:
    (target,) = (route.target for route in world.aliases[alias].routes if route.backend == backend)
    chosen = Candidate(backend, target, None, None, True, None, None, None, "by the test")
    return Decision((chosen,), (chosen,), "only_choice", **more)


REFUSED = Decision((), (), "none", Refusal(429, "rate_limit_error", "latency_ceiling", "not now"))


class By:
    """A router that is one function of what it is shown; it keeps what it was shown and told."""

    def __init__(self, decide: Callable[[RequestFacts, FleetSnapshot], Decision]) -> None:
        self._decide = decide
        self.seen: list[tuple[RequestFacts, FleetSnapshot]] = []
        self.noted: list[tuple[float, Decision]] = []
        self.verdicts: list[tuple[float, bool]] = []

    def decide(self, facts: RequestFacts, fleet: FleetSnapshot) -> Decision:
        self.seen.append((facts, fleet))
        return self._decide(facts, fleet)

    def note(self, facts: RequestFacts, decision: Decision, now: float) -> None:
        self.noted.append((now, decision))

    def ended(self, facts: RequestFacts, bad: bool, now: float) -> None:
        self.verdicts.append((now, bad))


def always(backend: str, world: Setting) -> By:
    return By(lambda facts, fleet: decision_for(facts.alias, backend, world))


def everything_to(backend: str, asked: Requests, world: Setting | None = None) -> Run:
    world = world or setting()
    return simulate(asked, always(backend, world), world, name=backend)
