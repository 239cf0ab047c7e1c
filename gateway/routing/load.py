"""A backend's own word on its load and pace, as its metrics page gives it."""

from __future__ import annotations

from dataclasses import dataclass

STALE_SECONDS = 5.0
"""Older pages say nothing of the load now."""


@dataclass(frozen=True, slots=True)
class Load:
    """One page. `at`: seconds on the gateway's clock, when it was asked for. None: it has no such series."""

    at: float
    requests: int
    """Running and waiting there, of everybody."""
    own_in_flight: int
    """Of these ours, at the moment of the scrape."""
    kv_cache_usage: float | None
    waiting: int = 0
    generated_tokens: float | None = None
    """Ever; falls only where the server was started anew."""
    token_gap_seconds: float | None = None
    """Sum over all tokens ever, of the time since the token before it in the same answer..."""
    token_gaps: float | None = None
    """...and their number."""
    started_at: float | None = None
    """When the process started, on its own clock."""
    models: frozenset[str] = frozenset()
    """Names that its series carry."""
    prompt_tokens: float | None = None
    """Ever, as `generated_tokens`."""

    @property
    def unknown_there(self) -> int:
        """Requests of ours that the backend has not, or no longer: on their way, or lost track of. 0 where others use
        it too and have as many there."""
        return max(0, self.own_in_flight - self.requests)

    def another_server(self, before: Load) -> bool:
        """The process or the model behind the address is not the one of the page `before`."""
        if before.models and self.models and before.models != self.models:
            return True
        if before.started_at is not None and self.started_at is not None and self.started_at != before.started_at:
            return True
        if before.generated_tokens is not None and self.generated_tokens is not None:
            return self.generated_tokens < before.generated_tokens
        return False


def pace(before: Load, now: Load) -> tuple[float, float, float] | None:
    """(streams decoding, seconds per token of each, tokens counted) between two pages of one server; None: too little
    happened, or too much changed between them to say."""
    seconds = now.at - before.at
    running, ran = now.requests - now.waiting, before.requests - before.waiting
    if not 0.2 <= seconds <= 2 * STALE_SECONDS or min(running, ran) < 1 or abs(running - ran) > max(1, 0.25 * ran):
        return None
    streams = (running + ran) / 2
    if (
        now.token_gaps is not None
        and before.token_gaps is not None
        and now.token_gap_seconds is not None
        and before.token_gap_seconds is not None
    ):
        gaps = now.token_gaps - before.token_gaps
        return (streams, (now.token_gap_seconds - before.token_gap_seconds) / gaps, gaps) if gaps >= 1 else None
    if now.generated_tokens is not None and before.generated_tokens is not None:
        tokens = now.generated_tokens - before.generated_tokens
        return (streams, streams * seconds / tokens, tokens) if tokens >= 1 else None
    return None
