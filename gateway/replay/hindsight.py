"""A good plan in hindsight: windows laid where, in the replay just done, most requests were bad for each dollar.

Not a bound but a bill that could have been paid: the plan is carried out in the same world, by plain routing around it.
What it knows that no router can know is when to open: a copy is warm the moment that the plan wants it. Each round
replays, puts windows where they save most, and replays again, until the error budget is kept. A plan never wants a
second copy: where one is too few, it says that it did not keep the budget.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, inf

import numpy as np
from numpy.typing import NDArray

from gateway.economics.prices import AmortizedCost, PerTokenCost, WindowCost
from gateway.policy.schema import ServedBy
from gateway.replay.requests import Requests
from gateway.replay.run import Run
from gateway.replay.setting import Setting
from gateway.replay.world import simulate
from gateway.routing.decision import Candidate, Decision
from gateway.routing.facts import RequestFacts
from gateway.routing.predict import DEFAULT_OUTPUT_TOKENS, predict
from gateway.routing.route import AliasRoutes
from gateway.routing.snapshot import BackendState, FleetSnapshot

NAME = "hindsight"
ROUNDS = 12
SLOTS_PER_WINDOW = 10
RUNS_OF_WINDOWS = (1, 2, 3, 4, 6, 9, 12, 24)
"""Windows in a row that are tried at each place."""
SHARE_A_ROUND = 0.6
"""Of the bad requests too many: so much is mended before the next replay, since windows help their neighbours too."""
FEWEST_A_ROUND = 20.0

MARGIN = 0.95
"""Of a ceiling that a prediction may use."""
RIDE_LOAD = 0.2
"""From this share of the box's batch on, a window that is paid is used."""
SHED_LOAD = 0.35
"""From this one on, what the base model can answer leaves the box to the rest..."""
SHED_DEMAND = 0.55
"""... and likewise from this load by requests that need a class of their own, as a share of the box's time."""
DEMAND_SECONDS = 120.0
HOLD_SHARE = 0.8
"""Of the ceiling that a relaxed request may spend waiting at the gateway."""
HOLD_SECONDS = 15.0
RELAXED_TTFT_SECONDS = 60.0
"""Patience from which a request counts as relaxed: holding is for these only."""


class NoPlanError(ValueError):
    """There is nothing to plan: the setting has no box, or no imported model."""


@dataclass(frozen=True, slots=True)
class Hindsight:
    run: Run
    plan: tuple[tuple[float, float], ...]
    """(opens, ends) in seconds on the trace's clock: when a copy was wanted."""
    kept: bool
    """Whether the error budget was kept in the end."""


def hindsight(
    requests: Requests,
    setting: Setting,
    *,
    bad_share: float = 0.01,
    rounds: int = ROUNDS,
    progress: Callable[[float], None] | None = None,
) -> Hindsight:
    """The plan that keeps the budget of `bad_share`, or the last one tried. Raises NoPlanError."""
    cost = next((place.cost for place in setting.places if isinstance(place.cost, WindowCost)), None)
    if cost is None:
        raise NoPlanError("no backend of the policy is billed by the window: there is no plan to make")
    layout = _Layout(requests.span_seconds, cost)
    for number in range(rounds):
        if progress is not None:
            progress(number / rounds)
        plan = layout.plan()
        run = simulate(requests, PlannedRouter(plan, setting), setting, name=NAME)
        too_many = int(run.bad.sum()) - bad_share * len(requests)
        if too_many <= 0 or number == rounds - 1 or not layout.add(requests.arrival_s[run.bad], too_many):
            break
        if layout.plan() == plan:
            break  # what is bad still is so inside the windows: one copy is too few there
    if progress is not None:
        progress(1.0)
    return Hindsight(run, tuple(plan), too_many <= 0)


class _Layout:
    """Which slots of the span are inside a window."""

    def __init__(self, span_seconds: float, cost: WindowCost) -> None:
        self.slot_s = float(cost.window_seconds) / SLOTS_PER_WINDOW
        self.slots = int(span_seconds / self.slot_s) + 2
        self.on = np.zeros(self.slots, bool)
        self.tail = 1 if cost.idle_tail_billed else 0
        """Windows paid after the last one wanted, once a stretch."""

    def plan(self) -> list[tuple[float, float]]:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], self.on.astype(np.int8), [0]])))
        return [
            (a * self.slot_s, b * self.slot_s) for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        ]

    def add(self, bad_at_s: NDArray[np.float64], too_many: float) -> bool:
        """Windows where the most bad requests came for each one paid, until enough are covered. False: none helps."""
        bridged = self.plan()
        slots = np.minimum((bad_at_s / self.slot_s).astype(np.intp), self.slots - 1)
        bad = np.bincount(slots, minlength=self.slots).astype(float)
        wanted, covered = max(SHARE_A_ROUND * too_many, min(too_many, FEWEST_A_ROUND)), 0.0
        while covered < wanted:
            most, start, slots_on = self._best(bad)
            if most <= 0:
                break
            stretch = slice(start, start + slots_on)
            covered += float(bad[stretch].sum())
            bad[stretch] = 0.0
            self.on[stretch] = True
        for (_, ends), (opens, _) in pairwise(bridged):
            # Where the tail would reach the next window anyway, it costs nothing to stay.
            if 0 < opens - ends <= self.tail * SLOTS_PER_WINDOW * self.slot_s:
                self.on[round(ends / self.slot_s) : round(opens / self.slot_s)] = True
        return covered > 0

    def _best(self, bad: NDArray[np.float64]) -> tuple[float, int, int]:
        """(bad requests for each window paid, first slot, slots) of the best stretch to add."""
        total = np.concatenate([[0.0], np.cumsum(bad)])
        best = (0.0, 0, 0)
        for windows in RUNS_OF_WINDOWS:
            length = windows * SLOTS_PER_WINDOW
            start = np.arange(max(1, self.slots - length))
            end = np.minimum(start + length, self.slots)
            joins = self.on[np.maximum(start - 1, 0)] | self.on[np.minimum(end, self.slots - 1)]
            ratio = (total[end] - total[start]) / (windows + self.tail * ~joins)
            at = int(ratio.argmax())
            best = max(best, (float(ratio[at]), at, length))
        return best


class PlannedRouter:
    """Carries out a plan: windows are open when it says so. Around it: the box first, while it is in time; what the
    base model can answer leaves a busy box; relaxed requests wait; what would be late is answered by the base model."""

    def __init__(self, plan: Sequence[tuple[float, float]], setting: Setting) -> None:
        self._plan = list(plan)
        self._next = 0
        box = next((place for place in setting.places if isinstance(place.cost, AmortizedCost)), None)
        imported = next((place for place in setting.places if isinstance(place.cost, WindowCost)), None)
        if box is None or imported is None or not isinstance(imported.cost, WindowCost):
            raise NoPlanError("a plan needs a box and a backend billed by the window")
        self._box, self._speed = box.name, box.speed
        self._imported, self._window = imported.name, imported.cost
        self._choices = {
            name: _Choices(alias, setting, box.name, imported.name) for name, alias in setting.aliases.items()
        }
        self._asked_prompts = self._asked_answers = 0.0
        """Prompt tokens and answers asked for lately by requests that need a class of their own, fading."""
        self._at = 0.0

    def note(self, facts: RequestFacts, decision: Decision, now: float) -> None:
        # What the plan takes is not asked of the box.
        if all(decision is not planned for planned in self._choices[facts.alias].planned):
            self._asked_prompts, self._asked_answers = self._asked(facts, now)
            self._at = now
        while self._next < len(self._plan) and self._plan[self._next][1] <= now:
            self._next += 1

    def ended(self, facts: RequestFacts, bad: bool, now: float) -> None:
        """A plan learns nothing."""

    def decide(self, facts: RequestFacts, fleet: FleetSnapshot) -> Decision:
        now = fleet.at
        opens = next((start for start, end in self._plan[self._next :] if end > now), inf)
        choices = self._choices[facts.alias]
        box, imported = fleet.backends[self._box], fleet.backends[self._imported]
        assert imported.window is not None
        up, starting = imported.window.copies > 0, imported.copies_starting > 0
        warm = not up and not starting and opens - self._window.cold_start_seconds <= now
        load = box.in_flight / self._speed.batch
        room = up and imported.in_flight < self._window.concurrency_per_copy * imported.window.copies
        if opens <= now and room and load > RIDE_LOAD and (choices.needs_own or load >= SHED_LOAD):
            return choices.planned[warm]
        mean = fleet.mean_output_tokens.get(facts.alias, DEFAULT_OUTPUT_TOKENS)
        fits = self._fits(facts, box, mean)
        calm = load < SHED_LOAD and self._demand(facts, mean, now) < SHED_DEMAND
        free = room and imported.window.free_seconds > 0
        if free and load > RIDE_LOAD and (choices.needs_own or not fits or not calm):
            return choices.imported[warm]
        patience = facts.ceiling.ttft_seconds
        relaxed = patience is not None and patience >= RELAXED_TTFT_SECONDS
        if fits and (choices.needs_own or calm) and (not relaxed or load < SHED_LOAD):
            return choices.box[warm]
        if relaxed and patience is not None and facts.elapsed_seconds < HOLD_SHARE * patience:
            return choices.hold[warm]
        if fits and choices.needs_own:
            return choices.box[warm]
        ready = 0.0 if up else imported.restoring_seconds
        left = inf if patience is None else MARGIN * (patience - facts.elapsed_seconds)
        if choices.needs_own and (starting or free) and ready is not None and ready + 1.0 < left:
            return choices.imported[warm]
        return choices.base[warm]

    def _fits(self, facts: RequestFacts, box: BackendState, mean: float) -> bool:
        """Predicted to be in time at the box, for an answer of mean length."""
        predicted, ceiling = predict(self._speed, box, facts, mean), facts.ceiling
        ttft, whole = predicted.ttft_seconds + facts.elapsed_seconds, predicted.latency_seconds + facts.elapsed_seconds
        first = inf if ceiling.ttft_seconds is None else ceiling.ttft_seconds
        end = inf if ceiling.latency_seconds is None else ceiling.latency_seconds
        if ceiling.seconds_per_output_token is not None:
            end = min(end, first + ceiling.seconds_per_output_token * mean)
        return ttft <= MARGIN * first and whole <= MARGIN * end

    def _demand(self, facts: RequestFacts, mean: float, now: float) -> float:
        """Share of the box's time that is asked for by requests that need a class of their own."""
        prompt_tokens, answers = self._asked(facts, now)
        speed = self._speed
        tokens_seconds = answers * mean * speed.step(speed.batch) / speed.batch
        return (prompt_tokens / speed.prompt_tokens_per_second + tokens_seconds) / DEMAND_SECONDS

    def _asked(self, facts: RequestFacts, now: float) -> tuple[float, float]:
        """(prompt tokens, answers) with this request."""
        faded = exp(-(now - self._at) / DEMAND_SECONDS)
        new = self._choices[facts.alias].needs_own and not facts.asked_before
        return self._asked_prompts * faded + new * facts.input_tokens, self._asked_answers * faded + new


class _Choices:
    """The decisions that are possible for an alias, each as (without, with) a copy warmed for the plan."""

    __slots__ = ("base", "box", "hold", "imported", "needs_own", "planned")

    def __init__(self, alias: AliasRoutes, setting: Setting, box: str, imported: str) -> None:
        self.needs_own = alias.settings.needs != "any"
        """Nobody paid by the token can answer it well."""
        paid_by_token = {place.name for place in setting.places if isinstance(place.cost, PerTokenCost)}
        targets = {route.backend: route.target for route in alias.routes}
        on_box = targets.get(box)
        if on_box is None:
            raise NoPlanError(f"a plan needs every alias on the box: {box} is not in served_by")
        base = next((target for name, target in targets.items() if name in paid_by_token), on_box)
        self.box = _pair(on_box, imported, "in time on the box")
        self.planned = _pair(targets.get(imported, base), imported, "in a window of the plan")
        self.imported = _pair(targets.get(imported, base), imported, "in what is left of a window")
        self.base = _pair(base, imported, "leaves the box to others, or would be late there")
        self.hold = tuple(Decision((), (), "held", hold_seconds=HOLD_SECONDS, warm=warm) for warm in (None, imported))


def _pair(target: ServedBy, imported: str, why: str) -> tuple[Decision, Decision]:
    chosen = Candidate(target.backend, target, None, None, True, None, None, None, why)
    without, warming = (Decision((chosen,), (chosen,), "cheapest_in_time", warm=warm) for warm in (None, imported))
    return without, warming
