"""What the event loop leaves for a thread: bounded, and leaving something there never waits."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Outbox(Generic[Item]):
    """Any thread may `put`, one thread may `take`. The taker looks in from time to time: a wake-up for each item would
    cost the event loop more than the item itself."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: deque[Item] = deque()
        self._lost = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Where `most` wait already, the item is lost and counted."""
        if len(self._items) >= self._most:
            self._lost += 1
        else:
            self._items.append(item)

    def take(self, most: int) -> list[Item]:
        """The oldest, at most so many."""
        taken: list[Item] = []
        while self._items and len(taken) < most:
            taken.append(self._items.popleft())
        return taken

    def take_lost(self) -> int:
        """How many were lost since this was last asked."""
        lost = self._lost
        self._lost -= lost
        return lost
