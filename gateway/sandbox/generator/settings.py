"""What the generator box simulates."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

NotNegative = Annotated[float, Field(ge=0)]


class GeneratorSettings(BaseModel):
    """Speeds are output tokens/s as a policy's `speed` has them. `tokens_per_second` 0: as fast as possible."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    models: tuple[Annotated[str, Field(min_length=1)], ...] = Field(("tuned",), min_length=1)
    """All of them answer alike: the text depends on the prompt alone."""
    max_lora_rank: int = Field(16, ge=1)
    """Adapters of a higher rank are refused when they are loaded."""
    tokens_per_second: NotNegative = 0.0
    """One stream alone."""
    max_tokens_per_second: NotNegative = 0.0
    """All `max_streams` streams together; 0: `tokens_per_second` times `max_streams`, a batch that costs nothing."""
    max_streams: int = Field(64, ge=1)
    """Served at once; the rest wait in line."""
    first_token_seconds: NotNegative = 0.0
    prompt_tokens_per_second: NotNegative = 0.0
    """Prompts are read one after another; 0: at once."""
    context_tokens: int = Field(8192, ge=2)
    """Longest prompt and answer together."""
    kv_cache_tokens: int = Field(65_536, ge=1)
    """What `vllm:kv_cache_usage_perc` is a share of."""

    @model_validator(mode="after")
    def _speeds_agree(self) -> Self:
        alone, most = self.tokens_per_second, self.max_tokens_per_second
        if most and not alone <= most <= alone * self.max_streams:
            raise ValueError(
                f"max_tokens_per_second is {most:g}: it must lie between tokens_per_second ({alone:g}) and that times "
                f"max_streams ({alone * self.max_streams:g})"
            )
        return self

    def step_seconds(self, streams: int) -> float:
        """One step makes a token for each of `streams` streams in a + c*b seconds; a and c follow from the two speeds.

        Alone it takes 1 / tokens_per_second, with all streams max_streams / max_tokens_per_second."""
        if not self.tokens_per_second:
            return 0.0
        alone = 1.0 / self.tokens_per_second
        if not self.max_tokens_per_second or self.max_streams == 1:
            return alone
        per_stream = (self.max_streams / self.max_tokens_per_second - alone) / (self.max_streams - 1)
        return alone + per_stream * (max(1, streams) - 1)
