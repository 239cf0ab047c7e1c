"""SIMULATED: a model billed by the token. Always there; streams do not slow each other, nobody waits in line."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import inf

from gateway.economics.prices import PerTokenCost, TokenRate
from gateway.replay.setting import Place
from gateway.routing.snapshot import BackendState


class OnDemand:
    """As `Box`; `price` is what a request is charged by itself."""

    __slots__ = ("_answers", "_finish", "_first_s", "_place", "_rate", "_speed", "next_s")

    def __init__(self, place: Place, first_s: list[float], finish: Callable[[int, float, float], None]) -> None:
        cost = place.cost
        assert isinstance(cost, PerTokenCost)
        assert cost.input_nanousd_per_token is not None
        assert cost.output_nanousd_per_token is not None
        self._rate = TokenRate.of(cost.input_nanousd_per_token, cost.output_nanousd_per_token)
        self._place = place
        self._speed = place.speed
        self._first_s = first_s
        self._finish = finish
        self._answers: list[tuple[float, int]] = []
        """Heap of (end, request)."""
        self.next_s = inf

    @property
    def idle(self) -> bool:
        return not self._answers

    def send(self, request: int, in_tokens: float, out_tokens: float, now: float) -> None:
        first = now + self._speed.first_token_seconds + in_tokens / self._speed.prompt_tokens_per_second
        self._first_s[request] = first
        heapq.heappush(self._answers, (first + (out_tokens - 1) * self._speed.step(1), request))
        self.next_s = self._answers[0][0]

    def price(self, in_tokens: int, out_tokens: int) -> int:
        """n$ of one request."""
        return self._rate.price(in_tokens, out_tokens)

    def step(self) -> None:
        now, request = heapq.heappop(self._answers)
        self.next_s = self._answers[0][0] if self._answers else inf
        self._finish(request, now, now)

    def state(self, now: float) -> BackendState:
        del now
        in_flight = len(self._answers)
        return BackendState(
            name=self._place.name, in_flight=in_flight, decoding=in_flight, max_in_flight=self._place.max_in_flight
        )
