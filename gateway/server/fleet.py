"""The fleet as the gateway sees it: a tracker for each backend, what is learned of the aliases, and the snapshot for
routing. Everything runs on the event loop: no locks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.backends.errors import Fault, UpstreamError
from gateway.backends.tokens import BytesPerToken
from gateway.economics.windows import WindowView
from gateway.routing.lengths import OutputLengths
from gateway.routing.snapshot import FleetSnapshot
from gateway.routing.tracker import Tracker


def blame(tracker: Tracker, error: UpstreamError, now: float) -> None:
    """A client's mistake or a cold start says nothing of a backend; throttling pauses it; only its own faults open its
    circuit."""
    if error.fault is Fault.CAPACITY:
        tracker.throttled(now, error.retry_after_seconds)
    elif error.fault is Fault.UPSTREAM:
        tracker.broke(error.message, now)


class Fleet:
    """All trackers, and what is learned of the aliases."""

    def __init__(self, trackers: Mapping[str, Tracker], window_view: Callable[[str, float], WindowView | None]) -> None:
        self.trackers = trackers
        self.lengths = OutputLengths()
        self._window_view = window_view
        self._bytes_per_token: dict[str, BytesPerToken] = {}

    def snapshot(self, now: float) -> FleetSnapshot:
        view = self._window_view
        return FleetSnapshot(
            now,
            {name: tracker.state(now, view(name, now)) for name, tracker in self.trackers.items()},
            self.lengths.by_alias,
        )

    def estimate_prompt_tokens(self, alias: str, size_bytes: int) -> int:
        learned = self._bytes_per_token.get(alias)
        return max(1, size_bytes // 4) if learned is None else learned.estimate(size_bytes)

    def answered(self, alias: str, prompt_bytes: int, input_tokens: int, output_tokens: int, caller: str = "") -> None:
        """An answer with exact usage: what the next request of this alias may look like. `caller`: its key's name."""
        self._bytes_per_token.setdefault(alias, BytesPerToken()).learn(prompt_bytes, input_tokens)
        self.lengths.saw(alias, caller, output_tokens)
