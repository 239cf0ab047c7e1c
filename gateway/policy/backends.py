"""The places that serve tokens: how each is reached, what it was measured to do, what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr

from gateway.policy.base import PositiveFloat, Settings
from gateway.policy.costs import CostSettings, PerTokenSettings, PriceSource


class SpeedSettings(Settings):
    """What the backend was measured to do (a `window` backend: one copy of it).

    The seed of every prediction, corrected by what is observed.
    """

    single_stream_tokens_per_second: PositiveFloat = Field(description="output tokens/s of one stream alone")
    max_tokens_per_second: PositiveFloat | None = Field(
        None,
        description="output tokens/s of all streams together at at_concurrency; default: single stream x concurrency",
    )
    at_concurrency: Annotated[int, Field(ge=1)] = Field(
        1, description="streams served at once; beyond it requests queue"
    )
    prompt_tokens_per_second: PositiveFloat = Field(3000.0, description="prompt tokens read per second")
    first_token_seconds: Annotated[float, Field(ge=0)] = Field(
        0.3, description="TTFT of a tiny prompt on an idle backend"
    )
    prompt_share_while_decoding: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.7,
        description="share of the machine that reading a prompt takes while other streams decode (chunked prefill); "
        "of no account where streams do not slow each other",
    )
    context_tokens: Annotated[int, Field(ge=1)] | None = Field(None, description="longest prompt + output it can serve")
    assumed: bool = Field(
        False, description="true: nobody measured single_stream_tokens_per_second; tables say so, ratios leave it out"
    )


class QualitySettings(Settings):
    """From an evaluation: what share of answers was accepted, and how long an answer is."""

    accepted_rate: Annotated[float, Field(gt=0, le=1)]
    tokens_per_answer: PositiveFloat = 500.0
    source: str | None = None


class BedrockCredentials(Settings):
    """Left out, botocore's own chain is used: environment, profile, SSO, container, instance."""

    profile: str | None = None
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    bearer_token: SecretStr | None = Field(
        None, description="a Bedrock API key; AWS_BEARER_TOKEN_BEDROCK is honoured too"
    )

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        if (given.get("access_key_id") is None) != (given.get("secret_access_key") is None):
            yield "access_key_id and secret_access_key belong together: give both or neither"


class TimeoutSettings(Settings):
    """Of one attempt. A request that asks for less by its own headers never waits longer than it asked."""

    connect_seconds: PositiveFloat = Field(5.0, description="for a new connection; then another backend is tried")
    first_byte_seconds: PositiveFloat = Field(300.0, description="then another backend is tried")
    stall_seconds: PositiveFloat = Field(60.0, description="longest silence in the middle of an answer")
    total_seconds: PositiveFloat = Field(
        1800.0, description="longest attempt from its start to its last byte, however lively; the others end with it"
    )


class BackendSettings(Settings):
    """One place that serves tokens.

    Without `wire` it is a priced path on paper: the economics count it, traffic never goes there.
    """

    wire: Literal["openai", "bedrock"] | None = None
    description: str | None = None
    base_url: str | None = Field(None, description="wire openai: up to and including /v1", pattern=r"^https?://")
    api_key: SecretStr | None = None
    metrics_url: str | None = Field(
        None, description="vLLM's Prometheus page; default: /metrics beside /v1; '' = none", pattern=r"^(https?://.*)?$"
    )
    region: str | None = Field(None, description="wire bedrock")
    endpoint_url: str | None = Field(
        None, description="wire bedrock: another endpoint (the sandbox, a VPC endpoint)", pattern=r"^https?://"
    )
    credentials: BedrockCredentials = BedrockCredentials()
    copies_from_cloudwatch: bool = Field(
        False,
        description="wire bedrock, cost window: ask CloudWatch once a minute how many copies run, while some are "
        "believed to (needs the permission cloudwatch:GetMetricData, and costs a little a request)",
    )
    cloudwatch_endpoint_url: str | None = Field(
        None, description="wire bedrock: another endpoint of CloudWatch's", pattern=r"^https?://"
    )
    simulated: bool = Field(False, description="a stand-in, said so wherever its figures are shown")
    timeouts: TimeoutSettings = TimeoutSettings()
    max_in_flight: Annotated[int, Field(ge=1)] = Field(256, description="requests sent at once; beyond it, elsewhere")
    cost: CostSettings | None = Field(None, description="left out: unknown; its tokens are counted as unpriced")
    price: PriceSource = PriceSource()
    speed: SpeedSettings
    quality: QualitySettings | None = None
    custom_weights: bool | None = Field(
        None, description="serves weights of your own; left out: yes, except where billed per_token or not at all"
    )

    @property
    def serves_custom_weights(self) -> bool:
        if self.custom_weights is not None:
            return self.custom_weights
        return self.cost is not None and not isinstance(self.cost, PerTokenSettings)

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        wire = given.get("wire")
        if wire == "openai" and not given.get("base_url"):
            yield "wire openai needs base_url, for example http://127.0.0.1:8000/v1"
        if wire == "bedrock" and not given.get("region"):
            yield "wire bedrock needs region, for example us-west-2"
        if wire not in ("openai", "bedrock", None):
            return  # the wire itself is reported; what belongs to it is not known
        for owner, keys in (
            ("bedrock", ("region", "endpoint_url", "copies_from_cloudwatch", "cloudwatch_endpoint_url")),
            ("openai", ("base_url", "api_key", "metrics_url")),
        ):
            strangers = [key for key in keys if given.get(key)]
            if wire != owner and strangers:
                verb = "belongs" if len(strangers) == 1 else "belong"
                yield f"{' and '.join(strangers)} {verb} to wire {owner}: remove, or set wire: {owner}"
