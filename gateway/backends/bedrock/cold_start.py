"""How often a cold imported model is asked again. Only a call can see that it is being restored."""

from __future__ import annotations

import msgspec

from gateway.policy.schema import BackendSettings, WindowSettings

_SHORTEST_SECONDS = 0.1
_LONGEST_SECONDS = 10.0


class ColdStart(msgspec.Struct, frozen=True):
    """`expected_seconds`: from the first call to the first token; None where the policy does not say."""

    expected_seconds: float | None

    @property
    def poll_seconds(self) -> float:
        """A sixth of what is expected, 0.1 to 10 s: an SDK's back-off begins at 50 ms and gives up within seconds."""
        if self.expected_seconds is None:
            return _LONGEST_SECONDS
        return min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, self.expected_seconds / 6))

    def seconds_left(self, waited_seconds: float) -> float:
        """When it may be ready: the rest of what was expected, at least one more poll."""
        return max(self.poll_seconds, (self.expected_seconds or 0.0) - waited_seconds)


def cold_start_of(settings: BackendSettings) -> ColdStart:
    cost = settings.cost
    return ColdStart(cost.cold_start_seconds if isinstance(cost, WindowSettings) else None)
