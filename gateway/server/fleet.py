"""The fleet as the gateway sees it: a tracker for each backend, what is learned of the aliases, and the snapshot for
routing. Everything runs on the event loop: no locks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import structs

from gateway.backends.errors import Fault, UpstreamError
from gateway.backends.tokens import BytesPerToken
from gateway.economics.windows import WindowView
from gateway.routing.lengths import OutputLengths
from gateway.routing.shared_state import NOTHING_ELSEWHERE, Elsewhere, SharedState
from gateway.routing.snapshot import BackendState, FleetSnapshot
from gateway.routing.tracker import Tracker


def blame(tracker: Tracker, error: UpstreamError, now: float) -> None:
    """A client's mistake or a cold start says nothing of a backend; throttling pauses it; only its own faults open its
    circuit."""
    if error.fault is Fault.CAPACITY:
        tracker.throttled(now, error.retry_after_seconds)
    elif error.fault is Fault.UPSTREAM:
        tracker.broke(error.message, now)


def _with_others(state: BackendState, others: Elsewhere) -> BackendState:
    """A backend's own metrics count the other gateways' requests too, but late, and not every backend has any."""
    return structs.replace(
        state,
        foreign=max(state.foreign, others.in_flight),
        unread_prompt_tokens=state.unread_prompt_tokens + others.unread_prompt_tokens,
    )


class Fleet:
    """All trackers, and what is learned of the aliases. `common`: what other gateways have under way; None: nobody
    else is there."""

    def __init__(
        self,
        trackers: Mapping[str, Tracker],
        window_view: Callable[[str, float], WindowView | None],
        common: SharedState | None = None,
    ) -> None:
        self.trackers = trackers
        self._common = common
        self.lengths = OutputLengths()
        self._window_view = window_view
        self._bytes_per_token: dict[str, BytesPerToken] = {}

    def snapshot(self, now: float) -> FleetSnapshot:
        view, common = self._window_view, self._common
        states = {name: tracker.state(now, view(name, now)) for name, tracker in self.trackers.items()}
        if common is not None:
            for name, state in states.items():
                others = common.elsewhere(name)
                if others is not NOTHING_ELSEWHERE:
                    states[name] = _with_others(state, others)
        return FleetSnapshot(now, states, self.lengths.by_alias)

    def estimate_prompt_tokens(self, alias: str, size_bytes: int) -> int:
        learned = self._bytes_per_token.get(alias)
        return max(1, size_bytes // 4) if learned is None else learned.estimate(size_bytes)

    def answered(self, alias: str, prompt_bytes: int, input_tokens: int, output_tokens: int, caller: str = "") -> None:
        """An answer with exact usage: what the next request of this alias may look like. `caller`: its key's name."""
        self._bytes_per_token.setdefault(alias, BytesPerToken()).learn(prompt_bytes, input_tokens)
        self.lengths.saw(alias, caller, output_tokens)
