"""How fast a backend is: steps of a + c*b seconds for a batch of b streams, prompts read one after another."""

from __future__ import annotations

import msgspec

from gateway.policy.schema import SpeedSettings


class SpeedModel(msgspec.Struct, frozen=True):
    """A backend's speed as routing uses it."""

    step_base: float
    step_per_stream: float
    batch: int
    prompt_tokens_per_second: float
    first_token_seconds: float
    max_tokens_per_second: float
    prompt_share_while_decoding: float = 0.7
    """Share of the machine that reading a prompt takes while others decode. 0: streams do not share one machine, so
    that neither prompts nor streams slow each other (Bedrock, as far as one can see from outside)."""

    @classmethod
    def of(cls, speed: SpeedSettings) -> SpeedModel:
        """From the policy. A backend whose streams are as fast together as alone has none that could be slowed."""
        alone = 1.0 / speed.single_stream_tokens_per_second
        batch = speed.at_concurrency
        most = speed.max_tokens_per_second or speed.single_stream_tokens_per_second * batch
        per_stream = 0.0 if batch == 1 else max(0.0, (batch / most - alone) / (batch - 1))
        return cls(
            alone - per_stream,
            per_stream,
            batch,
            speed.prompt_tokens_per_second,
            speed.first_token_seconds,
            most,
            speed.prompt_share_while_decoding if per_stream > 1e-9 * alone else 0.0,
        )

    def step(self, streams: float) -> float:
        """Seconds for one token of each of `streams` streams."""
        return self.step_base + self.step_per_stream * max(1, streams)
