"""What routing knows of a request: a plain value, read off the body and the headers. Never the prompt itself."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Operation: TypeAlias = Literal["chat", "completions", "embeddings", "responses", "messages", "count_tokens"]

OPTIONAL: frozenset[Operation] = frozenset(("responses", "messages", "count_tokens"))
"""Operations that not every backend has; a request's demands name the path."""


class Ceiling(msgspec.Struct, frozen=True, gc=False):
    """The slowest answer still in time, in seconds. None: no ceiling."""

    ttft_seconds: float | None = None
    seconds_per_output_token: float | None = None
    latency_seconds: float | None = None


NO_CEILING = Ceiling()


class RequestFacts(msgspec.Struct, frozen=True, gc=False):
    """One request as the router sees it."""

    alias: str
    operation: Operation
    input_tokens: int
    """Estimated: nobody tokenizes on the way in."""
    max_output_tokens: int | None = None
    stream: bool = False
    ceiling: Ceiling = NO_CEILING
    quality: str | None = None
    """The class asked for by header; None: what the alias needs."""
    demands: frozenset[str] = frozenset()
    """Body fields with a value that is not the neutral one, and marks such as `messages.image_url`."""
    pinned_backend: str | None = None
    elapsed_seconds: float = 0.0
    """Already spent of every ceiling, since the request came in."""
    asked_before: bool = False
    """It was held, and is being asked about again."""
    expected_output_tokens: float | None = None
    """From what its alias and its caller were seen to get; None: the mean of the alias, which the fleet knows."""
    may_hold: bool = True
    """The gateway can keep it waiting: it is not shutting down, and does not hold too many already."""
