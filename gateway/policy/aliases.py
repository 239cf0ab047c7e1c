"""What an application asks for: model names, how late an answer may be, and who can serve it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.policy.base import Name, PositiveFloat, Quality, Settings


class CeilingSettings(Settings):
    """The slowest answer that is still in time. Left out: no ceiling. All times are since the request came in, and
    waiting at the gateway counts."""

    ttft_seconds: PositiveFloat | None = Field(None, description="the first token is due then")
    seconds_per_output_token: PositiveFloat | None = Field(
        None,
        description="the last token is due at the TTFT ceiling plus this times the answer's tokens: a quick start may "
        "make up for a slow pace. Without a TTFT ceiling: of the answer's mean pace after its first token",
    )
    latency_seconds: PositiveFloat | None = Field(None, description="the last token is due then, however long it is")


class ServedBy(Settings):
    """One backend that can answer an alias."""

    backend: Name
    model: str = Field(
        description="the model's name there: a vLLM model or adapter, a Bedrock model id or ARN", min_length=1
    )
    quality: Quality | None = Field(None, description="the class of its answers; default: what the alias needs")
    generation: str | None = Field(None, description="the adapter's immutable name, for example handbook@v0001")
    may_lag: bool = Field(
        False, description="may serve an older generation than the alias's newest; else it gets no requests then"
    )
    api: Literal["invoke", "converse"] = Field("invoke", description="bedrock only")
    body: Literal["openai-chat", "openai-completion", "meta"] = Field("openai-chat", description="bedrock invoke only")
    embeddings: bool = Field(False, description="this model embeds; it does not generate")


class AliasSettings(Settings):
    """A model name that applications use."""

    needs: Quality = Field("any", description="the quality class an answer must have")
    ceiling: CeilingSettings = CeilingSettings()
    max_output_tokens: Annotated[int, Field(ge=1)] | None = Field(None, description="refuse a request for more")
    served_by: Annotated[tuple[ServedBy, ...], Field(min_length=1)]
