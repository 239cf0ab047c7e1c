"""How likely is the box to turn somebody away soon: learned from what followed when it last stood like this.

A request taken in now keeps others out later only if the box fills up while it is there. The chance of that is counted
by how full the box is and how much demand there is that has no other cheap home: once a second the state is remembered;
an overload within `seconds` marks those before it, the others pass unmarked. Until a state has been seen, a guess
stands.
"""

from __future__ import annotations

from collections import deque
from functools import cache
from math import inf

PRIOR = 10.0
"""The guess weighs as much as so many seconds seen."""
KEPT = 0.9995
"""What was seen in a state fades with each new second in it: about half an hour spent in the state."""
PRESSURE_STEPS, PRESSURE_MOST = 8, 12
DEMAND_STEPS, DEMAND_MOST = 4, 6

State = tuple[int, int]


def _state(pressure: float, demand: float) -> State:
    full, wanted = int(pressure * PRESSURE_STEPS), int(demand * DEMAND_STEPS)
    return full if full < PRESSURE_MOST else PRESSURE_MOST, wanted if wanted < DEMAND_MOST else DEMAND_MOST


@cache  # there are 13 times 7
def _guess(state: State) -> float:
    pressure, demand = (state[0] + 0.5) / PRESSURE_STEPS, (state[1] + 0.5) / DEMAND_STEPS
    return min(1.0, max(0.0, (pressure - 0.4) * 0.8 + max(0.0, demand - 0.7)))


class Congestion:
    """`pressure`: requests at the boxes over their batch; `demand`: work per second of those without another cheap
    home, over what the boxes can do."""

    __slots__ = ("_learned", "_noted", "_overloaded", "_pending", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._learned: dict[State, list[float]] = {}
        self._pending: deque[tuple[float, State]] = deque()
        self._noted = self._overloaded = -inf

    def seen(self, pressure: float, demand: float, now: float) -> None:
        """The state now. To be called with every decision; counts once a second."""
        pending = self._pending
        while pending and pending[0][0] <= now - self._seconds:
            self._learn(pending.popleft()[1], 0.0)
        if now - self._noted >= 1.0:
            self._noted = now
            pending.append((now, _state(pressure, demand)))

    def overload(self, now: float) -> None:
        """A request without another cheap home was turned away."""
        if now - self._overloaded < 1.0:
            return
        self._overloaded = now
        while self._pending:
            self._learn(self._pending.popleft()[1], 1.0)

    def chance(self, pressure: float, demand: float) -> float:
        """Of an overload within `seconds`, 0 to 1."""
        state = _state(pressure, demand)
        learned = self._learned.get(state)
        return _guess(state) if learned is None else learned[0] / learned[1]

    def _learn(self, state: State, overload: float) -> None:
        learned = self._learned.get(state)
        if learned is None:
            learned = self._learned[state] = [PRIOR * _guess(state), PRIOR]
        learned[0] = learned[0] * KEPT + overload
        learned[1] = learned[1] * KEPT + 1.0
