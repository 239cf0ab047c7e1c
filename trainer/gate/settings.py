"""The settings of one gate: whose answers are compared, who judges them, and what must be shown. All fixed beforehand.

`trainer.gate.load` reads the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.policy.base import Name, PositiveFloat, Settings

Share = Annotated[float, Field(gt=0, lt=1)]
RuleName = Literal["facts", "grounding"]
CANARY, CALIBRATION = "canary", "calibration"
"""What stands for a generator in the judges' log, where no generator gave the answer: none may be called so."""
Address = Annotated[str, Field(pattern=r"^https?://[^/?#\s]+[^?#\s]*$", max_length=500)]


class EndpointSettings(Settings):
    """A model behind an OpenAI-compatible address: a gateway, or any other server."""

    model: str = Field(description="the model name to ask for", min_length=1, max_length=200)
    base_url: Address = Field(description="up to and including /v1, for example http://127.0.0.1:8080/v1")
    key_env: str | None = Field(None, description="name of the environment variable that holds the API key")
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        180.0, description="for one request from start to end, waiting for a cold start included"
    )


class GeneratorSettings(EndpointSettings):
    """Whose answers are gated."""

    adapter: str | None = Field(
        None,
        description="the version that must answer, for example handbook@v0001; another one stops the gate. Left out: "
        "`model` itself where it is written like a version",
        pattern=r"^[a-z0-9][a-z0-9._-]{0,47}@v[0-9]{4,9}$",
    )
    note: str = Field("", description="what the report's table says of it", max_length=200)


class SamplingSettings(Settings):
    """What every generator is asked for: the same for all."""

    max_tokens: Annotated[int, Field(ge=1, le=8192)] = Field(96, description="tokens of one answer at most")
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.0, description="0: the likeliest token each time")
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = Field(
        1, description="sent with each request; null: left out (Bedrock's Converse has none, and the gateway says so)"
    )


class JudgeSettings(Settings):
    """One judge: rules of the program's own, or a model."""

    kind: Literal["rules", "model"]
    rule: RuleName | None = Field(None, description="kind rules: facts (strict) or grounding")
    model: str | None = Field(None, description="kind model: the model name to ask for", min_length=1, max_length=200)
    base_url: Address | None = Field(None, description="kind model: up to and including /v1")
    key_env: str | None = Field(None, description="kind model: name of the environment variable that holds the API key")
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(180.0, description="kind model: for one request")
    max_tokens: Annotated[int, Field(ge=16, le=8192)] = Field(
        512, description="kind model: tokens of reason and verdict at most"
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = Field(
        None, description="kind model: sent with each request; left out: none is"
    )
    response_format: Literal["text", "json_schema"] = Field(
        "text",
        description="kind model: text asks for a last line VERDICT; json_schema has the server hold the answer to a "
        "schema, where it can",
    )

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        kind = given.get("kind")
        if kind == "rules":
            if given.get("rule") is None:
                yield "kind rules needs rule: facts or grounding"
            strangers = [key for key in ("model", "base_url", "key_env") if given.get(key) is not None]
            if strangers:
                yield f"{' and '.join(strangers)} belong to kind model: remove, or set kind: model"
        elif kind == "model":
            missing = [key for key in ("model", "base_url") if not given.get(key)]
            if missing:
                yield f"kind model needs {' and '.join(missing)}"
            if given.get("rule") is not None:
                yield "rule belongs to kind rules: remove it, or set kind: rules"


class ComparisonSettings(Settings):
    """The test, registered before the first answer."""

    alpha: Annotated[float, Field(gt=0, le=0.2)] = Field(0.05, description="how often chance alone may pass")
    minimum_gain: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.05, description="difference of accepted shares to the control that is worth having"
    )
    margin: Share = Field(0.10, description="how much worse than `live` still counts as not worse")


class GateSettings(Settings):
    """One gate. Paths are relative to the settings file."""

    version: Literal[1]
    name: str = Field(description="runs are kept under it", pattern=r"^[a-z0-9][a-z0-9._-]{0,47}$")
    description: str = ""
    questions: str = Field(description="the frozen set (`crossover adapter freeze` writes it)", min_length=1)
    holdout: str | None = Field(None, description="a second frozen set, opened with --holdout only", min_length=1)
    out: str = Field("gates", description="folder of runs: out/name/run", min_length=1)
    generators: dict[Name, GeneratorSettings] = Field(description="whose answers are compared, by a name of your own")
    control: str = Field(description="the generator without the tuning")
    candidate: str = Field(description="the generator that is to pass")
    live: str | None = Field(None, description="the generator that serves now: the candidate must not be worse")
    sampling: SamplingSettings = SamplingSettings()
    concurrency: Annotated[int, Field(ge=1, le=256)] = Field(
        4, description="requests under way at a time, to each address"
    )
    judges: dict[Name, JudgeSettings] = Field(description="exactly two, by a name of your own")
    bar: Annotated[float, Field(gt=0, le=1)] = Field(0.6, description="accepted share that the candidate must reach")
    test: ComparisonSettings = ComparisonSettings()
    calibration: str | None = Field(None, description="answers that people labelled: JSON lines", min_length=1)
    ledger: str | None = Field(
        None,
        description="the gateway's ledger file: what each answer cost is read from it; left out: costs are unknown",
        min_length=1,
    )
    retries: Annotated[int, Field(ge=0, le=20)] = Field(
        4, description="a request again after 429, 503 or a lost connection, so many times at most"
    )
    longest_wait_seconds: PositiveFloat = Field(
        60.0, description="before such a retry; a server that asks for more time is not asked again"
    )
