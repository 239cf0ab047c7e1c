"""What late means, and the chance of it, from a prediction and how uncertain it is. Pure.

Two things are random: how long those ahead still take (each answer's length is taken to be exponential, so the wait for
`k` of them to end is a gamma variable), and how long the answer itself becomes. An answer is late when its first token
is, or its last: that is due at the TTFT ceiling plus the ceiling per token times its tokens.
"""

from __future__ import annotations

from math import exp, inf

from gateway.routing.facts import Ceiling, RequestFacts
from gateway.routing.predict import Prediction

MANY_AHEAD = 60
"""From here on the wait is as good as certain: the sum would only be long."""
CERTAIN = 0.999


def is_late(ceiling: Ceiling, ttft_seconds: float | None, total_seconds: float, output_tokens: float) -> bool:
    """The verdict on one answer, live and in replays. The ceiling per token is not one of the pace but of the end: the
    last token is due at the TTFT ceiling plus that times the answer's tokens, so that a quick start is not punished for
    a slow pace that nobody feels. Without a TTFT ceiling the mean pace after the first token is held to.

    Seconds since the request came in, a hold included. `ttft_seconds` None: it was not streamed, and only its end was
    seen."""
    first, pace, whole = ceiling.ttft_seconds, ceiling.seconds_per_output_token, ceiling.latency_seconds
    if first is not None and ttft_seconds is not None and ttft_seconds > first:
        return True
    if whole is not None and total_seconds > whole:
        return True
    if pace is None:
        return False
    if first is not None:
        return total_seconds > first + pace * output_tokens
    return ttft_seconds is not None and total_seconds - ttft_seconds > pace * max(0.0, output_tokens - 1)


def late_chance(predicted: Prediction, facts: RequestFacts, margin: float, output_tokens: float) -> float:
    """0 to 1. `margin`: the share of each ceiling that may be used; `output_tokens`: the mean length expected."""
    ceiling = facts.ceiling
    first, pace, whole = ceiling.ttft_seconds, ceiling.seconds_per_output_token, ceiling.latency_seconds
    if first is None and pace is None and whole is None:
        return 0.0
    ttft, per_token = predicted.ttft_seconds, predicted.seconds_per_token
    spent = facts.elapsed_seconds
    most = facts.max_output_tokens
    in_time = 1.0
    if first is not None:
        slack = margin * first - spent
        if ttft >= slack:
            return 1.0
        ahead = predicted.ahead
        if ahead > 0 and predicted.seconds_per_ahead > 0:
            in_time = 1.0 - _longer(ahead, (slack - predicted.reading_seconds) / predicted.seconds_per_ahead)
            if in_time < 1.0 - CERTAIN:
                return 1.0
    if pace is not None and per_token > margin * pace:
        if first is None:
            return 1.0
        tokens = (slack - ttft) / (per_token - margin * pace)
        in_time *= 1.0 - _exceeds(tokens, output_tokens, most)
    if whole is not None:
        left = margin * whole - spent - ttft
        if left <= 0:
            return 1.0
        in_time *= 1.0 - _exceeds(left / per_token if per_token > 0 else inf, output_tokens, most)
    return 1.0 - in_time


def _exceeds(tokens: float, mean: float, most: int | None) -> float:
    """P(an answer has more tokens)."""
    if most is not None and tokens >= most:
        return 0.0
    return exp(-tokens / mean) if mean > 0 else 0.0


def _longer(ahead: int, waits: float) -> float:
    """P(waiting for `ahead` answers to end takes longer than `waits` times the mean between two ends)."""
    if waits <= 0:
        return 1.0
    if ahead > MANY_AHEAD:
        return 1.0 if waits < ahead else 0.0
    term = total = exp(-waits)
    for number in range(1, ahead):
        term *= waits / number
        total += term
    return total
