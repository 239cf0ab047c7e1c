"""The settings of one adapter's training, export and publishing, as frozen values. `trainer.settings.load` reads them.

Defaults follow *LoRA Without Regret* (Schulman and Thinking Machines, 2025): an adapter on all linear layers, a
learning rate ten to fifteen times that of full fine-tuning and independent of the rank, small batches, few passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.policy.base import PositiveFloat, Settings

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
AdapterName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,47}$")]


class BaseSettings(Settings):
    """The model that is tuned: a folder in Hugging Face form. Nothing is fetched."""

    model: str = Field(description="folder of the base model: config.json, tokenizer, safetensors", min_length=1)


class DataSettings(Settings):
    """JSON lines: `messages` (chat), or `prompt` and `completion`. Only the last answer, or completion, is learned."""

    train: str = Field(description="file of the training rows", min_length=1)
    evaluation: str | None = Field(None, description="file of held-out rows; left out: a share of the training rows")
    evaluation_share: Share = Field(0.05, description="share of the training rows that is held out, by row hash")
    gate_questions: str | None = Field(None, description="the gate's frozen questions: no row may hold one of them")
    labels: str | None = Field(None, description="name of a field of each row whose balance the data doctor reports")


class SequenceSettings(Settings):
    """How rows become sequences of a fixed length."""

    max_tokens: Annotated[int, Field(ge=16, le=1_048_576)] = Field(2048, description="tokens of one sequence")
    packing: bool = Field(True, description="several rows to a sequence; none sees another")
    too_long: Literal["error", "drop"] = Field(
        "error", description="a row of more than max_tokens: stop, or leave it out. It is never cut: the answer is last"
    )


class LoraSettings(Settings):
    """The adapter's shape."""

    rank: Annotated[int, Field(ge=1, le=512)] = Field(16, description="rank of the two factors")
    alpha: PositiveFloat = Field(32, description="scale: the adapter acts as alpha / rank times the factors' product")
    dropout: Share = Field(0.0, description="share of the adapter's input that is dropped in training")
    targets: Literal["all-linear"] | tuple[str, ...] = Field(
        "all-linear", description="all linear layers but the head, or names such as [q_proj, v_proj]"
    )


class OptimizerSettings(Settings):
    """AdamW on the adapter alone."""

    learning_rate: PositiveFloat = Field(2e-4, description="the peak")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="the way down, to 0, after warm-up")
    warmup_share: Share = Field(0.03, description="share of all steps over which the rate rises from 0")
    weight_decay: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="AdamW's")
    beta1: Share = Field(0.9, description="AdamW's")
    beta2: Share = Field(0.999, description="AdamW's")
    max_gradient_norm: PositiveFloat = Field(1.0, description="gradients are scaled down to this L2 norm")


class BatchSettings(Settings):
    """How much is learned from at a time."""

    sequences_per_step: Count = Field(16, description="sequences an optimizer step, over all devices")
    sequences_at_once: Count | None = Field(
        None, description="sequences a forward pass on one device; left out: as many as the estimate says fit"
    )


class LengthSettings(Settings):
    """When training ends."""

    epochs: PositiveFloat | None = Field(3, description="passes over the rows")
    max_steps: Count | None = Field(None, description="optimizer steps at most; left out: no limit")
    max_seconds: PositiveFloat | None = Field(None, description="seconds of steps at most; left out: no limit")


class EvaluationSettings(Settings):
    """The loss on held-out rows, and what follows from it."""

    every_steps: Count | None = Field(None, description="steps between evaluations; left out: ten times a run")
    patience: Count | None = Field(3, description="stop after so many evaluations without a better loss; null: never")


class CheckpointSettings(Settings):
    """What a killed run goes on from."""

    every_steps: Count = Field(50, description="steps between checkpoints; one is also written at each best loss")
    keep: Count = Field(2, description="checkpoints kept, besides the best one")


class DeviceSettings(Settings):
    """Where and how it is computed."""

    kind: Literal["auto", "cuda", "cpu"] = "auto"
    dtype: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="of the frozen weights; auto: bfloat16 on a GPU that has it, else float32"
    )
    engine: Literal["auto", "peft", "lean"] = Field(
        "auto",
        description="peft: transformers with peft's layers, for every architecture. lean: own layers for the Llama "
        "family. auto: lean where it was proven to give the same losses",
    )
    fp8: bool = Field(
        False,
        description="lean on Hopper and newer: the gradients that pass the frozen projections in 8 bits; a sixth "
        "quicker, half as much memory again for those weights",
    )
    checkpointing: Literal["auto", "on", "off"] = Field(
        "auto",
        description="compute activations twice instead of keeping them; auto: where the estimate says they do not fit",
    )
    loss_chunk_tokens: Count = Field(1024, description="positions whose logits exist at the same time")
    memory_gib: PositiveFloat | None = Field(None, description="memory it may use; left out: what is free")
    threads: Count | None = Field(None, description="CPU threads; left out: all that this process may use")


class ServingSettings(Settings):
    """What the server that will load the adapter allows; an adapter beyond it is refused before training."""

    max_lora_rank: Count = Field(16, description="vLLM's --max-lora-rank")


class ExportSettings(Settings):
    """Merged weights for Bedrock Custom Model Import, written by `crossover refresh`."""

    folder: str = Field(
        description="folder under which each version's merged model is written, as name@v0001", min_length=1
    )


class GateStepSettings(Settings):
    """The quality gate between training and traffic."""

    config: str = Field(description="the gate's settings file", min_length=1)
    alias: str | None = Field(
        None,
        description="an alias of the policy that only the gate asks, on publish.backend: it is moved to each new "
        "version before; left out: the gate asks the model server by the version's own name",
        min_length=1,
    )


class PublishSettings(Settings):
    """Where `crossover refresh` and `crossover adapter publish` bring it to traffic."""

    policy: str = Field(description="the gateway's policy file", min_length=1)
    alias: str = Field(description="the model name that applications ask for", min_length=1)
    backend: str = Field(description="the backend of the policy whose vLLM server loads it", min_length=1)
    canary_share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="share of requests that go to the new version at first; left out: all at once"
    )


class TrainSettings(Settings):
    """One adapter. Paths are relative to the settings file."""

    version: Literal[1]
    name: AdapterName = Field(description="versions of it are called name@v0001, name@v0002 and so on")
    description: str = ""
    base: BaseSettings
    data: DataSettings
    runs: str = Field("runs", description="folder for checkpoints, curves and records of runs")
    registry: str = Field("adapters", description="folder of finished versions")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(0, description="of first weights and the order of the data")
    sequence: SequenceSettings = SequenceSettings()
    lora: LoraSettings = LoraSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    batch: BatchSettings = BatchSettings()
    length: LengthSettings = LengthSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    device: DeviceSettings = DeviceSettings()
    serving: ServingSettings = ServingSettings()
    gate: GateStepSettings | None = None
    export: ExportSettings | None = None
    publish: PublishSettings | None = None

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        """A rank beyond what the server takes is refused here, before any weight loads; so is a gate that would judge
        in live traffic."""
        rank, most = _number(given, "lora", "rank", 16), _number(given, "serving", "max_lora_rank", 16)
        if rank is not None and most is not None and rank > most:
            yield (
                f"lora.rank is {rank} and serving.max_lora_rank is {most}: vLLM would refuse the adapter; "
                "lower the rank, or start vLLM with a larger --max-lora-rank and say so here"
            )
        gate, publish = given.get("gate"), given.get("publish")
        alias = _text(gate, "alias")
        if alias is not None and publish is None:
            yield "gate.alias is moved on the policy and backend of `publish`: add that section, or leave it out"
        if alias is not None and alias == _text(publish, "alias"):
            yield (
                f"gate.alias and publish.alias are both {alias!r}: applications would be answered by a version that "
                "nobody has judged yet; name an alias that only the gate asks"
            )


def _text(section: Any, name: str) -> str | None:
    value = section.get(name) if isinstance(section, Mapping) else getattr(section, name, None)
    return value if isinstance(value, str) else None


def _number(given: Mapping[str, Any], section: str, name: str, default: int) -> int | None:
    part = given.get(section)
    value = part.get(name, default) if isinstance(part, Mapping) else getattr(part, name, default)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
