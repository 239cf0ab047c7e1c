"""When will the first token come, and how fast the rest: from the load as measured, corrected by what was observed.

The model: a batch of b streams makes a step of a + c*b seconds (a, c from the two speeds in the policy), prompts are
read one after another, and beyond `at_concurrency` a request waits until a slot is free.
"""

from __future__ import annotations

import msgspec

from gateway.policy.schema import SpeedSettings
from gateway.routing.facts import RequestFacts
from gateway.routing.snapshot import BackendState

DEFAULT_OUTPUT_TOKENS = 150.0
"""Until an alias has been seen: a short answer."""


class Prediction(msgspec.Struct, frozen=True):
    """Seconds. `latency_seconds` is to the last token of an answer of mean length."""

    ttft_seconds: float
    seconds_per_token: float
    latency_seconds: float


class SpeedModel(msgspec.Struct, frozen=True):
    """A backend's speed as routing uses it."""

    step_base: float
    step_per_stream: float
    batch: int
    prompt_tokens_per_second: float
    first_token_seconds: float
    max_tokens_per_second: float

    @classmethod
    def of(cls, speed: SpeedSettings) -> SpeedModel:
        alone = 1.0 / speed.single_stream_tokens_per_second
        batch = speed.at_concurrency
        most = speed.max_tokens_per_second or speed.single_stream_tokens_per_second * batch
        per_stream = 0.0 if batch == 1 else max(0.0, (batch / most - alone) / (batch - 1))
        return cls(
            alone - per_stream, per_stream, batch, speed.prompt_tokens_per_second, speed.first_token_seconds, most
        )

    def step(self, streams: int) -> float:
        """Seconds for one token of each of `streams` streams."""
        return self.step_base + self.step_per_stream * max(1, streams)


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
