"""The simulated world: recorded requests, simulated backends and a simulated clock around the production router.

Nothing here decides. For each arrival, and again at the end of each hold, the world shows the router what the live
gateway would show it (facts of the request, the fleet's snapshot), and does what it says. The world alone knows how
long an answer will be. Deterministic: the same requests, setting and router give the same run.

Not modelled: prefix caches, limits of the kv cache, sessions, throttling, failures, prompts estimated from bytes (the
router is told their true length), and clients that hang up.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence
from math import inf, nan
from typing import Protocol

import numpy as np

from gateway.economics.money import SECONDS_PER_MONTH
from gateway.economics.prices import AmortizedCost, PerTokenCost, ProvisionedCost, WindowCost
from gateway.replay.box import Box
from gateway.replay.imported import ImportedModel
from gateway.replay.observed import Observed, Simulated
from gateway.replay.on_demand import OnDemand
from gateway.replay.requests import Requests
from gateway.replay.run import REFUSED, Run
from gateway.replay.setting import Place, Setting
from gateway.routing.decision import Decision
from gateway.routing.facts import Ceiling, RequestFacts
from gateway.routing.lateness import is_late
from gateway.routing.lengths import OutputLengths
from gateway.routing.snapshot import FleetSnapshot

SHORTEST_HOLD_SECONDS = 0.1
"""A router that holds for less would be asked in a circle."""
PROGRESS_STEPS = 200


class Decides(Protocol):
    """What the world needs of a router: the production `Router` is one."""

    def decide(self, facts: RequestFacts, fleet: FleetSnapshot) -> Decision: ...
    def note(self, facts: RequestFacts, decision: Decision, now: float) -> None: ...
    def ended(self, facts: RequestFacts, bad: bool, now: float) -> None: ...


def simulate(
    requests: Requests,
    router: Decides,
    setting: Setting,
    *,
    name: str,
    learning: bool = False,
    believed: Setting | None = None,
    progress: Callable[[float], None] | None = None,
) -> Run:
    """Replays until the last request has ended and the last copy has gone. `progress` gets the share done, 0 to 1.

    learning: False shows the router the true state of every backend, and leaves it the policy's speeds, which are those
    of the world; True shows it what the production tracker makes of what a gateway can see.
    believed: what the gateway's policy says, where that is not how the world is: `router` should be made of it, and
    learning begins from it.
    Raises KeyError for a router that names a backend which is not in the setting.
    """
    return _World(requests, router, setting, (believed or setting) if learning else None).run(name, progress)


class _World:
    __slots__ = (
        "_aliases", "_arrival_s", "_backend", "_ceilings", "_decisions", "_end_s", "_facts", "_first_s", "_held",
        "_holds", "_in_tokens", "_late", "_lengths", "_observed", "_out_tokens", "_per_token", "_places", "_price",
        "_requests", "_router", "_sent_s", "_setting", "_shown", "_simulated", "_warm_calls", "_worse", "_wrong",
    )  # fmt: skip

    def __init__(self, requests: Requests, router: Decides, setting: Setting, learned_from: Setting | None) -> None:
        n = len(requests)
        self._requests = requests
        self._router = router
        self._setting = setting
        # Plain lists of plain numbers: taking one out of an array makes a new object every time.
        self._arrival_s: list[float] = requests.arrival_s.tolist()
        self._in_tokens: list[int] = requests.in_tokens.astype(np.int64).tolist()
        self._out_tokens: list[float] = requests.out_tokens.tolist()
        self._aliases = [requests.aliases[index] for index in requests.alias.tolist()]
        self._ceilings = _ceilings(requests)
        self._facts: list[RequestFacts | None] = [None] * n
        self._backend = [REFUSED] * n
        self._sent_s = [nan] * n
        self._first_s = [nan] * n
        self._end_s = [nan] * n
        self._late = bytearray(n)
        self._wrong = bytearray(n)
        self._per_token = [0] * n
        self._simulated = [_simulated(place, self._first_s, self._finish) for place in setting.places]
        self._places = {place.name: index for index, place in enumerate(setting.places)}
        self._observed: list[Observed] = []
        """Empty: the router is shown the truth."""
        if learned_from is not None:
            self._observed = [
                Observed(place, one, self._first_s, learned_from.routing.margin)
                for place, one in zip(learned_from.places, self._simulated, strict=True)
            ]
        shown: Sequence[Simulated] = self._observed or self._simulated
        self._shown = list(zip((place.name for place in setting.places), shown, strict=True))
        self._price = [one.price if isinstance(one, OnDemand) else None for one in self._simulated]
        self._worse = _worse(setting)
        self._lengths = OutputLengths()
        self._held: list[tuple[float, int, int]] = []
        """Heap of (until, number of the hold, request)."""
        self._holds = 0
        self._decisions = 0
        self._warm_calls = 0

    def run(self, name: str, progress: Callable[[float], None] | None) -> Run:
        began = time.perf_counter()
        requests = self._requests
        n = len(requests)
        every = max(1, n // PROGRESS_STEPS)
        for request, now in enumerate(self._arrival_s):
            self._until(now)
            self._ask(request, now, asked_before=False)
            if progress is not None and request % every == 0:
                progress(request / n)
        self._until(inf)
        if progress is not None:
            progress(1.0)
        imported = [one for one in self._simulated if isinstance(one, ImportedModel)]
        return Run(
            policy=name,
            requests=requests,
            backends=tuple(self._places),
            backend=np.array(self._backend, np.int8),
            sent_s=np.array(self._sent_s),
            ttft_s=np.array(self._first_s) - requests.arrival_s,
            end_s=np.array(self._end_s),
            late=np.frombuffer(self._late, np.bool_).copy(),
            wrong=np.frombuffer(self._wrong, np.bool_).copy(),
            per_token_nanousd=np.array(self._per_token, np.int64),
            windows=tuple(sorted((w for one in imported for w in one.windows), key=lambda w: (w.opens_s, w.copy))),
            metered_windows=sum(one.metered_windows for one in imported),
            warm_calls=self._warm_calls,
            flat_nanousd_per_month=_flat(self._setting),
            decisions=self._decisions,
            wall_seconds=time.perf_counter() - began,
        )

    def _until(self, moment: float) -> None:
        """Lets everything happen that is due before `moment`, in order."""
        held, simulated = self._held, self._simulated
        while True:
            soonest, who = moment, None
            for one in simulated:
                if one.next_s < soonest:
                    soonest, who = one.next_s, one
            if held and held[0][0] < soonest:
                now, _, request = heapq.heappop(held)
                self._ask(request, now, asked_before=True)
            elif who is None:
                return
            else:
                who.step()

    def _ask(self, request: int, now: float, *, asked_before: bool) -> None:
        """One decision, and what it says is done."""
        router = self._router
        facts = RequestFacts(
            alias=self._aliases[request],
            operation="chat",
            input_tokens=self._in_tokens[request],
            ceiling=self._ceilings[request],
            elapsed_seconds=now - self._arrival_s[request],
            asked_before=asked_before,
        )
        fleet = FleetSnapshot(now, {name: one.state(now) for name, one in self._shown}, self._lengths.by_alias)
        decision = router.decide(facts, fleet)
        router.note(facts, decision, now)
        self._decisions += 1
        if decision.warm is not None:
            self._warm_calls += 1
            index = self._places[decision.warm]
            place = self._simulated[index]
            assert isinstance(place, ImportedModel), f"{decision.warm} has no copies that could be warmed"
            if self._observed:
                self._observed[index].warmed(now)
            place.warm(now)
        if decision.hold_seconds is not None:
            self._holds += 1
            until = now + max(SHORTEST_HOLD_SECONDS, decision.hold_seconds)
            heapq.heappush(self._held, (until, self._holds, request))
        elif decision.order:
            self._send(request, facts, decision, now)
        else:
            router.ended(facts, True, now)

    def _send(self, request: int, facts: RequestFacts, decision: Decision, now: float) -> None:
        chosen = decision.order[0]
        index = self._places[chosen.backend]
        self._backend[request] = index
        self._sent_s[request] = now
        self._facts[request] = facts
        self._wrong[request] = (facts.alias, chosen.target.quality) in self._worse
        price = self._price[index]
        if price is not None:
            self._per_token[request] = price(self._in_tokens[request], int(self._out_tokens[request]))
        if self._observed:
            self._observed[index].sent(request, facts.input_tokens, chosen.predicted, now)
        self._simulated[index].send(request, self._in_tokens[request], self._out_tokens[request], now)

    def _finish(self, request: int, end: float, now: float) -> None:
        facts = self._facts[request]
        assert facts is not None
        self._facts[request] = None
        self._end_s[request] = end
        arrival, out_tokens, ceiling = self._arrival_s[request], self._out_tokens[request], facts.ceiling
        late = is_late(ceiling, self._first_s[request] - arrival, end - arrival, out_tokens)
        self._late[request] = late
        if self._observed:
            self._observed[self._backend[request]].ended(request, out_tokens, ceiling, end)
        self._lengths.saw(facts.alias, "", int(out_tokens))
        self._router.ended(facts, late or bool(self._wrong[request]), now)


def _simulated(
    place: Place, first_s: list[float], finish: Callable[[int, float, float], None]
) -> Box | ImportedModel | OnDemand:
    match place.cost:
        case AmortizedCost() | ProvisionedCost():
            return Box(place, first_s, finish)
        case WindowCost():
            return ImportedModel(place, first_s, finish)
        case PerTokenCost():
            return OnDemand(place, first_s, finish)


def _ceilings(requests: Requests) -> list[Ceiling]:
    """One value for all requests that share it: there are only as many as aliases, twice."""
    made: dict[tuple[float, float, float], Ceiling] = {}
    ceilings = []
    limits = zip(requests.ttft_max.tolist(), requests.tpot_max.tolist(), requests.latency_max.tolist(), strict=True)
    for three in limits:
        if three not in made:
            made[three] = Ceiling(*(None if limit == inf else limit for limit in three))
        ceilings.append(made[three])
    return ceilings


def _worse(setting: Setting) -> frozenset[tuple[str, str | None]]:
    """(alias, quality of a served_by entry) whose answers are below what the alias needs."""
    return frozenset(
        (name, route.target.quality)
        for name, alias in setting.aliases.items()
        for route in alias.routes
        if alias.settings.needs not in ("any", route.quality)
    )


def _flat(setting: Setting) -> dict[str, int]:
    """n$ a month of the backends that are paid by the month."""
    flat = {}
    for place in setting.places:
        if isinstance(place.cost, AmortizedCost):
            flat[place.name] = round(place.cost.nanousd_per_month)
        elif isinstance(place.cost, ProvisionedCost):
            flat[place.name] = round((place.cost.nanousd_per_second or 0) * SECONDS_PER_MONTH)
    return flat
