"""What the sandbox simulates: one frozen settings tree, from a YAML or JSON file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from gateway.sandbox.bedrock.faults import Fault
from gateway.sandbox.s3vectors.settings import VectorsSettings

BodyShape = Literal["openai_chat", "openai_completion", "meta"]
StreamUsage = Literal["openai", "metrics", "none"]
"""Where a stream's usage is told: `metrics` puts `amazon-bedrock-invocationMetrics` on the last chunk, and both
`metrics` and `openai` send the OpenAI usage chunk when the caller asks for it; `none` tells nothing."""

Usd = Annotated[Decimal, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Settings(BaseModel):
    """Common rules: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Throttle(Settings):
    """Refusals for load, in real time; None switches a limit off."""

    requests_per_minute: int | None = Field(None, ge=0)
    max_concurrent: int | None = Field(None, ge=0)


class Paced(Settings):
    """What every simulated model has. Speeds are real seconds whatever the time scale."""

    first_token_seconds: NotNegative = 0.2
    tokens_per_second: Positive = 95
    prompt_tokens_per_second: Positive | None = None
    """Adds input tokens / this to the first token's wait; None adds nothing."""
    context_tokens: int = Field(131_072, gt=0)
    max_output_tokens: int = Field(4_096, gt=0)
    default_output_tokens: int = Field(512, gt=0)
    """Used where a body sets no maximum."""
    throttle: Throttle = Throttle()
    usage_headers: bool = True
    """Send `x-amzn-bedrock-*-token-count` on a whole InvokeModel answer."""
    usage_in_stream: StreamUsage = "metrics"
    text_model: str | None = None
    """The upstream model that writes this model's text; None takes `text.model`."""

    def delay_seconds(self, input_tokens: int) -> float:
        """Wait before the first token of an answer to `input_tokens` tokens."""
        prompt = input_tokens / self.prompt_tokens_per_second if self.prompt_tokens_per_second else 0.0
        return self.first_token_seconds + prompt


class ImportedSettings(Paced):
    """A Custom Model Import model: it scales to zero and is billed in windows per running copy."""

    kind: Literal["imported"] = "imported"
    arn: str = Field(pattern=r"^arn:aws[a-z-]*:bedrock:[a-z0-9-]+:\d{12}:imported-model/[a-z0-9]{12}$")
    usd_per_unit_minute: Usd
    units_per_copy: int = Field(2, gt=0)
    cold_start_seconds: NotNegative = 60
    window_seconds: Positive = 300
    idle_seconds: Positive = 300
    max_copies: int = Field(3, gt=0)
    concurrency_per_copy: int = Field(16, gt=0)
    max_queued: int = Field(64, ge=0)
    """Requests that may wait for room on a warm model; more are throttled."""
    queue_seconds: NotNegative = 300
    idle_tail_billed: bool = True
    """True: windows follow one another until the copy goes. False: only windows that saw a call are billed.
    Which of the two holds on AWS is not documented."""
    blocking_wait_seconds: NotNegative = 0
    """0: a model that is not warm answers ModelNotReadyException at once. Else a call waits up to this long."""
    body_shapes: tuple[BodyShape, ...] = ("openai_chat", "openai_completion", "meta")
    instruct_supported: bool = False
    """Whether Converse is allowed, as GetImportedModel's `instructSupported` tells it."""
    usage_headers: bool = False
    """Off: whether AWS sends the token-count headers for imported models is not established."""

    @property
    def key(self) -> str:
        return self.arn


class FoundationSettings(Paced):
    """A base model on demand: per token, nothing else."""

    kind: Literal["foundation"] = "foundation"
    id: str = Field(min_length=1)
    input_usd_per_1m: Usd
    output_usd_per_1m: Usd
    profile_prefixes: tuple[str, ...] = ("us",)
    """Inference profiles `<prefix>.<id>` that reach the model too."""
    max_output_tokens: int = Field(2_048, gt=0)
    instruct_supported: bool = True

    @property
    def key(self) -> str:
        return self.id


class EmbeddingSettings(Settings):
    """Titan Text Embeddings v2: a text in, a vector out, per input token. The vector is SIMULATED: see `embeddings`."""

    kind: Literal["embedding"] = "embedding"
    id: str = Field("amazon.titan-embed-text-v2:0", min_length=1)
    input_usd_per_1m: Usd
    latency_seconds: NotNegative = 0.02
    """How long an answer takes, real seconds whatever the time scale."""
    max_input_tokens: int = Field(8_192, gt=0)
    max_input_characters: int = Field(50_000, gt=0)
    throttle: Throttle = Throttle()
    usage_headers: bool = True

    @property
    def key(self) -> str:
        return self.id


class ProvisionedSettings(Paced):
    """Provisioned Throughput: paid by the hour from creation to deletion, called or not."""

    kind: Literal["provisioned"] = "provisioned"
    arn: str = Field(pattern=r"^arn:aws[a-z-]*:bedrock:[a-z0-9-]+:\d{12}:provisioned-model/[a-z0-9]{12}$")
    units: int = Field(0, ge=0)
    """0 is AWS's default quota: nothing is provisioned, so the ARN answers ResourceNotFoundException."""
    usd_per_unit_hour: Usd
    max_output_tokens: int = Field(2_048, gt=0)
    instruct_supported: bool = True

    @property
    def key(self) -> str:
        return self.arn


GeneratingSettings = ImportedSettings | FoundationSettings | ProvisionedSettings
"""Models that write text."""
ModelSettings = Annotated[
    ImportedSettings | FoundationSettings | ProvisionedSettings | EmbeddingSettings, Field(discriminator="kind")
]


class TextSettings(Settings):
    """Where the words come from: the built-in generator (simulated text) or an OpenAI-compatible server."""

    source: Literal["generator", "openai"] = "generator"
    base_url: str | None = None
    """Of the upstream, with its `/v1`."""
    model: str | None = None
    api_key: SecretStr | None = None
    cache_file: Path | None = None
    """Keep upstream answers here, so that they can be replayed at the simulated pace without loading the upstream."""
    timeout_seconds: Positive = 120
    generator_min_tokens: int = Field(24, gt=0)
    generator_max_tokens: int = Field(160, gt=0)
    """The generator ends by itself at the end of a sentence, somewhere between these two."""

    @model_validator(mode="after")
    def _upstream_is_named(self) -> Self:
        if self.source == "openai" and not (self.base_url and self.model):
            raise ValueError("text.source 'openai' needs text.base_url (with its /v1) and text.model")
        if self.generator_max_tokens < self.generator_min_tokens:
            raise ValueError(
                f"text.generator_max_tokens {self.generator_max_tokens} is below generator_min_tokens "
                f"{self.generator_min_tokens}: raise the former or lower the latter"
            )
        return self


class Credentials(Settings):
    """When given, signatures are verified against these, not only looked for."""

    access_key_id: str
    secret_access_key: SecretStr
    session_token: SecretStr | None = None
    bearer_key: SecretStr | None = None


class SandboxSettings(Settings):
    """Everything the sandbox simulates."""

    time_scale: Positive = 1
    """How many times faster windows, idle time and cold starts pass. Dollars per real second keep their true rate:
    at 25, a window of 300 s lasts 12 s and costs 1/25. Generation is never scaled."""
    region: str = "us-east-1"
    account: str = Field("123456789012", pattern=r"^\d{12}$")
    models: tuple[ModelSettings, ...] = Field(min_length=1)
    text: TextSettings = TextSettings()
    credentials: Credentials | None = None
    s3vectors: VectorsSettings = VectorsSettings()
    """The vector store on the same port; its own faults and limits."""
    faults: tuple[Fault, ...] = ()
    seed: int = 0
    """Of the fault probabilities; the padding's lengths are random."""

    @model_validator(mode="after")
    def _keys_are_unique(self) -> Self:
        keys = [model.key for model in self.models]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"models are listed twice: {', '.join(twice)}. Keep one entry each")
        return self

    @classmethod
    def load(cls, path: str | Path) -> SandboxSettings:
        """Read a YAML or JSON file. ValueError tells every mistake at once, each with its place in the tree."""
        path = Path(path)
        try:
            data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(f"{path}: not YAML or JSON: {error}") from None
        if not isinstance(data, dict):
            raise ValueError(f"{path}: a mapping of settings is needed, not {type(data).__name__}")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            lines = [f"{path}: {'.'.join(map(str, e['loc'])) or '(top)'}: {e['msg']}" for e in error.errors()]
            raise ValueError("\n".join(lines)) from None

    @classmethod
    def default(cls) -> SandboxSettings:
        """The shipped `default.yaml`: one model of each kind, with dated list prices."""
        return cls.load(Path(__file__).with_name("default.yaml"))
