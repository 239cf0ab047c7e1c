"""Opening a base model for training: which layers, which dtype, on which device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from trainer.model.batch import DeviceBatch
from trainer.model.errors import ModelError, ShapeError
from trainer.model.shape import ModelShape
from trainer.settings.schema import TrainSettings


class TrainableModel(Protocol):
    """A frozen base with an adapter."""

    def loss_sum(self, batch: DeviceBatch) -> torch.Tensor:
        """SUM of cross entropy in nats over the learned tokens: fp32 scalar with a gradient."""

    def trainable(self) -> list[torch.nn.Parameter]:
        """The factors, fp32, in a fixed order."""

    def adapter_state(self) -> dict[str, torch.Tensor]:
        """On the CPU, under the names of peft's `adapter_model.safetensors`."""

    def load_adapter_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put back what `adapter_state` gave."""

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter in peft's file format."""

    def flops_per_token(self, mean_context: float, learned_share: float = 1.0) -> float:
        """Model FLOP of forward and backward for each real token."""

    def train(self) -> None: ...

    def eval(self) -> None: ...


def device_of(settings: TrainSettings) -> torch.device:
    """The device that `device.kind` asks for. Raises `ModelError` if CUDA is asked for and not there."""
    kind = settings.device.kind
    if kind == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            "device.kind is cuda, and torch sees no CUDA device: install a CUDA build of torch, or use cpu"
        )
    return torch.device("cuda" if kind != "cpu" and torch.cuda.is_available() else "cpu")


def dtype_of(settings: TrainSettings, device: torch.device) -> torch.dtype:
    """The frozen weights' dtype: as set, else bfloat16 on a GPU that has it, else float32."""
    if settings.device.dtype != "auto":
        return {"bfloat16": torch.bfloat16, "float32": torch.float32}[settings.device.dtype]
    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32


def engine_of(settings: TrainSettings, shape: ModelShape | None) -> tuple[str, str]:
    """(engine, why): `lean` where it covers what is asked, else `peft`."""
    from trainer.model.lean.support import obstacle

    asked = settings.device.engine
    if asked == "peft":
        return "peft", "device.engine asks for it"
    stops = "the model's shape is not known" if shape is None else obstacle(shape, settings)
    if stops is None:
        return "lean", "the losses were proven equal to peft's" if asked == "auto" else "device.engine asks for it"
    if asked == "lean":
        raise ModelError(f"device.engine is lean, but {stops}: use auto or peft")
    return "peft", stops


def open_model(settings: TrainSettings, device: torch.device, *, checkpointing: bool) -> TrainableModel:
    """Load the base, freeze it, add an adapter with first weights from `settings.seed`.

    Raises `ModelError` if the base cannot be trained as asked.
    """
    folder = Path(settings.base.model)
    if not (folder / "config.json").is_file():
        raise ModelError(f"base.model is {folder}, and no config.json is there: name a model's folder")
    try:
        shape: ModelShape | None = ModelShape.read(folder)
    except ShapeError:
        shape = None
    engine, _ = engine_of(settings, shape)
    dtype = dtype_of(settings, device)
    torch.manual_seed(settings.seed)
    if engine == "lean":
        from trainer.model.lean.model import LeanModel

        assert shape is not None
        return LeanModel.load(folder, shape, settings, device=device, dtype=dtype, checkpointing=checkpointing)
    if settings.device.fp8:
        raise ModelError("device.fp8 needs the lean engine, and this run uses peft: leave device.fp8 out")
    from trainer.model.plain import PlainModel

    model = PlainModel(
        _load(folder, dtype, device),
        settings.lora,
        base=folder,
        shape=shape,
        checkpointing=checkpointing,
        chunk=settings.device.loss_chunk_tokens,
    )
    model.check()
    return model


def _load(folder: Path, dtype: torch.dtype, device: torch.device) -> Any:
    from transformers import AutoModelForCausalLM

    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
    except (ValueError, OSError, ImportError, KeyError) as problem:
        raise ModelError(f"transformers cannot load {folder}: {problem}") from problem
    return model.to(device)
