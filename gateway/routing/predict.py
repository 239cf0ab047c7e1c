"""When will the first token come, and how fast the rest: from the load as measured, corrected by what was observed.

The model: a batch of b streams makes a step of a + c*b seconds (a, c from the two speeds in the policy), prompts are
read one after another, and beyond `at_concurrency` a request waits until a slot is free.
"""

from __future__ import annotations

import msgspec

from gateway.routing.facts import RequestFacts
from gateway.routing.snapshot import BackendState
from gateway.routing.speed import SpeedModel

DEFAULT_OUTPUT_TOKENS = 150.0
"""Until an alias has been seen: a short answer."""


class Prediction(msgspec.Struct, frozen=True):
    """Seconds. `latency_seconds` is to the last token of an answer of mean length."""

    ttft_seconds: float
    seconds_per_token: float
    latency_seconds: float


def output_tokens(facts: RequestFacts, mean: float) -> float:
    """Expected output length: the alias's mean, never above what the request allows."""
    return mean if facts.max_output_tokens is None else min(mean, float(facts.max_output_tokens))


def predict(speed: SpeedModel, state: BackendState, facts: RequestFacts, mean_output_tokens: float) -> Prediction:
    """If sent now. Never negative."""
    ahead = state.in_flight + state.foreign
    reading = facts.input_tokens / speed.prompt_tokens_per_second
    unread = state.unread_prompt_tokens / speed.prompt_tokens_per_second
    over = ahead + 1 - speed.batch
    slot = over * mean_output_tokens * speed.step(speed.batch) / speed.batch if over > 0 else 0.0
    ttft = (speed.first_token_seconds + max(unread, slot) + reading) * state.correction.ttft
    per_token = speed.step(min(speed.batch, ahead + 1)) * state.correction.time_per_token
    return Prediction(ttft, per_token, ttft + per_token * output_tokens(facts, mean_output_tokens))
