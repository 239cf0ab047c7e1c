"""How quick each backend's last streamed answers were: for people who look now. (The histograms keep all of them.)"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

KEPT = 256
"""Answers a backend."""
LATELY_SECONDS = 300.0


class Latencies:
    """Seconds. The clock is passed in."""

    def __init__(self, backends: Iterable[str]) -> None:
        self._kept: dict[str, deque[tuple[float, float, float | None]]] = {
            name: deque(maxlen=KEPT) for name in backends
        }

    def observed(self, backend: str, ttft: float, per_token: float | None, now: float) -> None:
        self._kept[backend].append((now, ttft, per_token))

    def ttft(self, backend: str, now: float) -> tuple[float, float] | None:
        """(p50, p95) of the last five minutes; None: no stream was answered in them."""
        return _middle_and_tail([ttft for at, ttft, _ in self._kept[backend] if at > now - LATELY_SECONDS])

    def per_token(self, backend: str, now: float) -> tuple[float, float] | None:
        lately = [per for at, _, per in self._kept[backend] if at > now - LATELY_SECONDS and per is not None]
        return _middle_and_tail(lately)


def _middle_and_tail(values: Sequence[float]) -> tuple[float, float] | None:
    if not values:
        return None
    ordered = sorted(values)
    last = len(ordered) - 1
    return ordered[round(0.5 * last)], ordered[round(0.95 * last)]
