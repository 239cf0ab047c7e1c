"""What several gateways of one policy must agree on, behind one small interface: verdicts (the error budget), demand,
and what the others have under way. The default keeps it in this process; a shared store can take its place without
the router knowing."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp
from typing import Protocol

import msgspec

from gateway.routing.speed import SpeedModel


class Demand(msgspec.Struct, frozen=True, gc=False):
    """Of requests without another cheap home than the box, per second, lately."""

    requests: float = 0.0
    prompt_tokens: float = 0.0
    output_tokens: float = 0.0

    def over(self, speeds: Iterable[SpeedModel]) -> float:
        """The work that it brings per second over what all these boxes can do together. Without boxes: 0."""
        rate = 0.0
        for speed in speeds:
            work = (
                self.prompt_tokens / speed.prompt_tokens_per_second
                + self.output_tokens * speed.step(speed.batch) / speed.batch
            )
            if work <= 0:
                return 0.0
            rate += 1.0 / work
        return 1.0 / rate if rate else 0.0


NO_DEMAND = Demand()


class Elsewhere(msgspec.Struct, frozen=True):
    """What the other gateways have under way at one backend."""

    in_flight: int = 0
    unread_prompt_tokens: int = 0


NOTHING_ELSEWHERE = Elsewhere()


class SharedState(Protocol):
    """Reads are of memory and never wait: an implementation that shares keeps a copy that it refreshes by itself."""

    def verdict(self, bad: bool) -> None:
        """One request has ended; `bad`: late, or answered below the quality it needs."""

    def verdicts(self) -> tuple[int, int]:
        """(ended, bad) of all gateways since the policy came up."""

    def demanded(self, prompt_tokens: int, output_tokens: float, now: float) -> None:
        """One request that only a box or an imported model can answer well has come."""

    def demand(self, now: float) -> Demand: ...

    def elsewhere(self, backend: str) -> Elsewhere: ...


class InProcess:
    """One gateway: everything there is to know is here."""

    __slots__ = ("_at", "_bad", "_ended", "_output", "_prompt", "_requests", "_seconds")

    def __init__(self, demand_seconds: float) -> None:
        self._seconds = demand_seconds
        self._ended = self._bad = 0
        self._at = self._requests = self._prompt = self._output = 0.0

    def verdict(self, bad: bool) -> None:
        self._ended += 1
        self._bad += bad

    def verdicts(self) -> tuple[int, int]:
        return self._ended, self._bad

    def demanded(self, prompt_tokens: int, output_tokens: float, now: float) -> None:
        faded = exp(-max(0.0, now - self._at) / self._seconds)
        self._at = now
        self._requests = self._requests * faded + 1.0
        self._prompt = self._prompt * faded + prompt_tokens
        self._output = self._output * faded + output_tokens

    def demand(self, now: float) -> Demand:
        if not (self._requests or self._prompt or self._output):
            return NO_DEMAND
        share = exp(-max(0.0, now - self._at) / self._seconds) / self._seconds
        return Demand(self._requests * share, self._prompt * share, self._output * share)

    def elsewhere(self, backend: str) -> Elsewhere:  # noqa: ARG002  there are no others
        return NOTHING_ELSEWHERE
