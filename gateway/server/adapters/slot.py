"""One alias on one backend: the names its requests are sent to, and how many are under way with each."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from gateway.policy.schema import ServedBy
from gateway.routing.deployment import Deployment, Served, Split
from gateway.server.adapters.gate import Gate


class Lane:
    """One generation's requests: `with lane as target` counts one from its start to its end.

    A lane that nothing leads to any more tells `ended` when its last request is over."""

    __slots__ = ("_ended", "in_flight", "retired", "served", "target")

    def __init__(self, served: Served, target: ServedBy, ended: Callable[[Lane], None]) -> None:
        self.served = served
        self.target = target
        self.in_flight = 0
        self.retired = False
        self._ended = ended

    def __enter__(self) -> ServedBy:
        self.in_flight += 1
        return self.target

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.in_flight -= 1
        if self.retired and not self.in_flight:
            self._ended(self)


class Slot:
    """Everything runs on the event loop: a request takes one lane, and stays on it whatever is swapped meanwhile."""

    def __init__(
        self, alias: str, backend: str, target: ServedBy, gone: Callable[[Slot, Served], None]
    ) -> None:  # fmt: skip
        """`gone(slot, served)`: a generation that was retired has nothing under way any more."""
        self.alias = alias
        self.backend = backend
        self.policy = Served(target.model, target.generation)
        self.missing: frozenset[str] = frozenset()
        """Names that the backend is known not to have loaded."""
        self.listed: frozenset[str] | None = None
        """What the backend said last that it has; None: it was not asked since the last change, or does not tell."""
        self.seen: set[str] = set()
        """Of its own names, those that were in such a list once: a name that never was may be served without being
        listed."""
        self.swapped_at = 0.0
        """Monotonic seconds. A list that was asked for before then says nothing."""
        self.lanes: dict[Served, Lane] = {}
        """Live, previous, canary, and those that are still draining."""
        self._target = target
        self._gone = gone
        self._split: Split | None = None
        self._canary: Lane | None = None
        self.gates: dict[str, Gate] = {}
        """By model name: what the quality gate said, as the publisher told it."""
        self.deployment = Deployment(self.policy)
        self.live = self._lane(self.policy)

    def next(self) -> Lane:
        """For one request: the live generation's lane, or the canary's as often as its share says."""
        split, canary = self._split, self._canary
        if split is not None and canary is not None and split.canary():
            return canary
        return self.live

    def swap(self, deployment: Deployment, at: float) -> None:
        """From the next request on. What is under way stays where it is."""
        before = self.deployment
        self.deployment = deployment
        if deployment.live != before.live or deployment.canary != before.canary:
            self.swapped_at = at
            self.listed = None
        for served in deployment.all:
            self._lane(served).retired = False
        self.live = self.lanes[deployment.live]
        canary = deployment.canary
        self._canary = None if canary is None else self.lanes[canary.served]
        if canary != before.canary:
            self._split = None if canary is None else Split(canary.share)
        self.lost(self.missing)
        for served, lane in list(self.lanes.items()):
            if served not in deployment.all:
                lane.retired = True
                if not lane.in_flight:
                    self._ended(lane)

    def saw(self, models: frozenset[str]) -> None:
        """A list came. A backend may list thousands of names over time, and only its own matter."""
        own = {served.model for served in (self.policy, *self.deployment.all)}
        self.seen = (self.seen | models) & own

    def lost(self, names: frozenset[str]) -> None:
        """What is missing now. A canary that is not loaded gets no requests until it is."""
        self.missing = names & {served.model for served in self.deployment.all}
        canary = self.deployment.canary
        if canary is not None:
            gone = canary.served.model in self.missing
            self._split = None if gone else self._split or Split(canary.share)

    def _lane(self, served: Served) -> Lane:
        lane = self.lanes.get(served)
        if lane is None:
            target = self._target.model_copy(update={"model": served.model, "generation": served.generation})
            lane = self.lanes[served] = Lane(served, target, self._ended)
        return lane

    def _ended(self, lane: Lane) -> None:
        if self.lanes.get(lane.served) is lane:
            del self.lanes[lane.served]
            self._gone(self, lane.served)
