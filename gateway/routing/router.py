"""The router: request facts and the fleet's snapshot in, a decision out. The snapshot carries the clock.

`decide` changes nothing: asked twice, it answers the same. What the router learns it learns from `note` (a decision is
acted upon) and `ended` (a verdict is known), and keeps in a `Memory`.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.policy.schema import RoutingSettings
from gateway.routing.decision import Decision
from gateway.routing.facts import NO_CEILING, RequestFacts
from gateway.routing.lengths import ALL
from gateway.routing.memory import Memory
from gateway.routing.predict import DEFAULT_OUTPUT_TOKENS, output_tokens
from gateway.routing.refusal import nobody_can, nobody_in_time
from gateway.routing.route import AliasRoutes, Route
from gateway.routing.shared_state import SharedState
from gateway.routing.snapshot import FleetSnapshot
from gateway.routing.strategies import baselines, crossover
from gateway.routing.strategies.chosen import Chosen
from gateway.routing.weigh import Weighed, weigh


class Router:
    """One policy's. `common`: what several gateways share; None: this is the only one."""

    def __init__(
        self, settings: RoutingSettings, aliases: Mapping[str, AliasRoutes], common: SharedState | None = None
    ) -> None:
        self.settings = settings
        self.aliases = aliases
        self.memory = Memory(settings, common)
        # Settings that each decision asks for: pydantic's own fields cost more than the rest of the asking.
        self._own = settings.strategy == "crossover"
        self._counts_taken = settings.strategy == "lowest-cost"
        self._margin = settings.margin
        self._lower_quality = self._own and settings.when_late == "lower_quality"
        self._windows = crossover.Windows([route.cost for alias in aliases.values() for route in alias.routes])
        self._boxes = {name: _boxes(alias) for name, alias in aliases.items()}

    def swap(self, alias: str, routes: AliasRoutes) -> None:
        """Another value for an alias, from the next decision on: a decision is wholly of the one or of the other. Its
        backends and their costs stay as they were."""
        self.aliases = {**self.aliases, alias: routes}
        self._boxes = {**self._boxes, alias: _boxes(routes)}

    @property
    def worth_nanousd(self) -> float:
        """Of one answer in time, as the main strategy sees it now."""
        return crossover.worth_nanousd(self.memory, self._windows)

    def decide(self, facts: RequestFacts, fleet: FleetSnapshot) -> Decision:
        """Raises KeyError for an alias that the policy does not have: the caller answers 404 before asking."""
        alias, settings = self.aliases[facts.alias], self.settings
        own = self._own
        mean = fleet.mean_output_tokens.get(facts.alias if own else ALL, DEFAULT_OUTPUT_TOKENS)
        weighed = weigh(facts, alias, fleet, mean, self._margin, self._lower_quality)
        for one in weighed:
            if one.barred is None:
                break
        else:
            candidates = tuple([one.candidate() for one in weighed])
            return Decision((), candidates, "none", nobody_can(facts, alias, candidates, fleet))
        if own:
            chosen = crossover.choose(facts, weighed, settings, self.memory, self._windows, fleet.at)
        else:
            chosen = baselines.choose(settings.strategy, facts, weighed, fleet, self.memory)
        return _decision(facts, weighed, chosen, mean)

    def note(self, facts: RequestFacts, decision: Decision, now: float) -> None:
        """To be called once for every decision that is acted upon, a hold too."""
        notes = decision.notes
        if notes is None:
            return
        memory = self.memory
        boxes = self._boxes[facts.alias]
        # What is pinned, or only a box has (embeddings, /v1/responses), is captive by itself: no window would take it,
        # so that it says nothing of one.
        if facts.pinned_backend is None and facts.operation in ("chat", "completions"):
            if notes.captive and not facts.asked_before:
                tokens = output_tokens(facts, decision.mean_output_tokens)
                memory.demanded(facts.input_tokens, tokens, _work_seconds(boxes, facts.input_tokens, tokens), now)
            memory.noted(notes, now, box_seen=_box_seen(boxes, decision))
        if self._counts_taken and decision.order and decision.hold_seconds is None:
            backend = decision.order[0].backend
            if any(route.backend == backend for route in boxes):
                memory.took(now)

    def ended(self, facts: RequestFacts, bad: bool, now: float) -> None:  # noqa: ARG002  the same for every strategy
        """A request's verdict is known: `bad` is late, or answered below the quality it needs. One without a ceiling
        that could not be late says nothing of the budget."""
        if bad or facts.ceiling != NO_CEILING:
            self.memory.ended(bad)


def _decision(facts: RequestFacts, weighed: list[Weighed], chosen: Chosen, mean: float) -> Decision:
    candidates = tuple([one.candidate() for one in weighed])
    if len(chosen.order) == 2 == len(weighed):  # as most are
        order = candidates if chosen.order[0] is weighed[0] else (candidates[1], candidates[0])
    else:
        told = {id(one): candidate for one, candidate in zip(weighed, candidates, strict=True)}
        order = tuple([told[id(one)] for one in chosen.order])
    refusal = None if order else nobody_in_time(facts, [c for c in candidates if c.excluded is None])
    return Decision(
        order, candidates, chosen.reason, refusal, chosen.hold_seconds,
        None if chosen.warm is None else chosen.warm.route.backend, chosen.notes, mean,
    )  # fmt: skip


def _boxes(alias: AliasRoutes) -> tuple[Route, ...]:
    return tuple([route for route in alias.routes if route.kind == "box"])


def _box_seen(boxes: tuple[Route, ...], decision: Decision) -> bool:
    """Whether its circumstances tell how full a box is: one could have been chosen."""
    for one in decision.candidates if boxes else ():
        if one.excluded is None and one.below is None:
            for route in boxes:
                if route.backend == one.backend:
                    return True
    return False


def _work_seconds(boxes: tuple[Route, ...], input_tokens: int, tokens: float) -> float:
    """Of the first box, at its best efficiency. 0: there is none."""
    if not boxes:
        return 0.0
    speed = boxes[0].speed
    return input_tokens / speed.prompt_tokens_per_second + tokens * speed.step(speed.batch) / speed.batch
