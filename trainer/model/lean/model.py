"""The lean engine: a Llama-like model whose forward and backward pass are written out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn.functional import embedding

from trainer.model.adapter_file import write_adapter
from trainer.model.batch import DeviceBatch
from trainer.model.errors import ModelError
from trainer.model.lean import block, operations, rope, weights
from trainer.model.lean.factors import Factors, Group
from trainer.model.loss import Head, cross_entropy_and_gradient
from trainer.model.shape import ModelShape
from trainer.settings.schema import LoraSettings, TrainSettings


class LeanModel:
    """`trainer.model.open.TrainableModel` for Llama-like models."""

    def __init__(
        self,
        read: weights.Reader,
        shape: ModelShape,
        lora: LoraSettings,
        *,
        base: Path,
        device: torch.device,
        dtype: torch.dtype,
        checkpointing: bool,
        chunk: int,
        max_tokens: int,
        seed: int = 0,
        precision: weights.Precision = "full",
        kernels: bool | None = None,
    ) -> None:
        """`kernels`: use Triton; None: where there is CUDA and Triton. `max_tokens`: of the longest document."""
        if precision != "full" and not (device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 9)):
            raise ModelError("device.fp8 needs a GPU with 8-bit tensor cores (Ada, Hopper or newer): leave it out")
        if precision != "full" and dtype != torch.bfloat16:
            raise ModelError("device.fp8 goes with device.dtype bfloat16")
        self._shape, self._lora, self._base = shape, lora, base
        self._checkpointing, self._chunk = checkpointing, chunk
        self._operations, aligned = _choose_operations(device, dtype, kernels)
        self._weights = weights.load(read, shape, device=device, dtype=dtype, precision=precision)
        self._head = Head(self._weights.head)
        padded = -(-lora.rank // 16) * 16 if aligned else lora.rank
        self._factors = Factors(
            shape, lora, device=device, dtype=dtype, padded_rank=padded, generator=torch.Generator().manual_seed(seed)
        )
        self._rope = rope.tables(shape.rope, shape.head_width, max_tokens, device)
        self._precision = precision

    @classmethod
    def load(
        cls,
        folder: Path,
        shape: ModelShape,
        settings: TrainSettings,
        *,
        device: torch.device,
        dtype: torch.dtype,
        checkpointing: bool,
    ) -> LeanModel:
        """From a folder's safetensors."""
        return cls(
            weights.from_folder(folder),
            shape,
            settings.lora,
            base=folder,
            device=device,
            dtype=dtype,
            checkpointing=checkpointing,
            chunk=settings.device.loss_chunk_tokens,
            max_tokens=settings.sequence.max_tokens,
            seed=settings.seed,
            # Both directions in 8 bits are quicker, but their losses are not plain bfloat16's: 0012-the-trainer.md.
            precision="fp8_backward" if settings.device.fp8 else "full",
        )

    def loss_sum(self, batch: DeviceBatch) -> torch.Tensor:
        """Sum of cross entropy in nats over the learned tokens: a fp32 scalar with a gradient."""
        self._factors.refresh()
        result: torch.Tensor = _Pass.apply(self, batch, torch.is_grad_enabled(), *self._factors.masters)
        return result

    def logits(self, batch: DeviceBatch) -> torch.Tensor:
        """[T, vocabulary], for checks on short texts."""
        with torch.no_grad():
            self._factors.refresh()
            return self._head.logits(self.run(batch, keep=False).hidden)

    def trainable(self) -> list[torch.nn.Parameter]:
        """The factors, fp32, in a fixed order."""
        return self._factors.masters

    def adapter_state(self) -> dict[str, torch.Tensor]:
        """On the CPU, under the names of peft's `adapter_model.safetensors`."""
        return self._factors.state()

    def load_adapter_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put back what `adapter_state` gave. Raises `ModelError` where names or shapes differ."""
        self._factors.load(state)

    def save_adapter(self, folder: Path) -> None:
        """Write `adapter_config.json` and `adapter_model.safetensors`, as peft would."""
        alpha = self._lora.alpha
        config = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": str(self._base),
            "inference_mode": True,
            "r": self._lora.rank,
            "lora_alpha": int(alpha) if float(alpha).is_integer() else alpha,
            "lora_dropout": self._lora.dropout,
            "target_modules": [projection.name for projection in self._shape.targeted(self._lora)],
            "bias": "none",
            "fan_in_fan_out": False,
            "modules_to_save": None,
            "use_dora": False,
            "use_rslora": False,
        }
        write_adapter(folder, config, self.adapter_state())

    def flops_per_token(self, mean_context: float, learned_share: float = 1.0) -> float:
        """See `ModelShape.flops_per_token`."""
        return self._shape.flops_per_token(self._lora, mean_context, learned_share)

    def train(self) -> None:
        """Nothing behaves otherwise in training."""

    def eval(self) -> None:
        """Nothing behaves otherwise in training."""

    def _setting(self, batch: DeviceBatch) -> block.Setting:
        longest, known = batch.longest_real_document, self._rope[0].shape[0]
        if longest > known:
            raise ModelError(f"a document has {longest} tokens, and the model was opened for {known}")
        return block.Setting(
            batch=batch,
            positions=batch.positions.flatten(),
            cosine=self._rope[0],
            sine=self._rope[1],
            heads=self._shape.heads,
            kv_heads=self._shape.kv_heads,
            head_width=self._shape.head_width,
            epsilon=self._shape.norm_epsilon,
            operations=self._operations,
            fp8_forward=self._precision == "fp8",
            fp8_backward=self._precision != "full",
        )

    def run(self, batch: DeviceBatch, keep: bool) -> Run:
        """The forward pass up to the last norm."""
        setting = self._setting(batch)
        befores, kept = [], []
        state = block.Pending(embedding(batch.tokens.flatten(), self._weights.embedding))
        for frozen, factors in zip(self._weights.blocks, self._factors.blocks, strict=True):
            state, before, own = block.forward(frozen, factors, state, setting, keep=keep and not self._checkpointing)
            if keep:
                befores.append(before)
                kept.append(own)
        residual, hidden, inverse = self._operations.add_norm(
            state.residual, state.delta, state.low_rank, self._weights.norm, self._shape.norm_epsilon, False
        )
        return Run(setting, befores, kept, residual, inverse, hidden.full)

    def loss_of(self, run: Run, needs_gradient: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(sum of cross entropy, its gradient with respect to the learned rows of `run.hidden`)."""
        batch = run.setting.batch
        learned = run.hidden.index_select(0, batch.learned)
        return cross_entropy_and_gradient(learned, self._head, batch.targets, self._chunk, needs_gradient)

    def backward(self, run: Run, gradient: torch.Tensor) -> list[torch.Tensor]:
        """From the gradient of the learned rows to the masters' gradients."""
        setting = run.setting
        whole = torch.zeros_like(run.hidden).index_copy_(0, setting.batch.learned, gradient)
        passed = self._operations.norm_backward(
            whole, None, run.residual, run.inverse, self._weights.norm, None, setting.fp8_backward
        )
        groups: list[list[Group]] = [[] for _ in self._weights.blocks]
        for index in reversed(range(len(groups))):
            frozen, factors = self._weights.blocks[index], self._factors.blocks[index]
            kept, run.kept[index] = run.kept[index], None
            if kept is None:
                start = block.Pending(run.befores[index])
                _, _, kept = block.forward(frozen, factors, start, setting, keep=True, finish=False)
                assert kept is not None
            passed, groups[index] = block.backward(frozen, factors, kept, passed, setting, first=index == 0)
        return self._factors.gradients(groups)


class Run(NamedTuple):
    """A forward pass, and what its backward pass reads."""

    setting: block.Setting
    befores: list[torch.Tensor]  # the residual stream at each block's start
    kept: list[block.Kept | None]  # None: to be computed again
    residual: torch.Tensor  # before the last norm
    inverse: torch.Tensor
    hidden: torch.Tensor  # after the last norm [T, hidden]


class _Pass(torch.autograd.Function):  # type: ignore[misc]  # torch has no types here
    """The whole model as one step of autograd: its inputs are the masters."""

    @staticmethod
    def forward(
        ctx: Any,
        model: LeanModel,
        batch: DeviceBatch,
        needs_gradient: bool,
        *masters: torch.Tensor,  # noqa: ARG004  autograd wants them as inputs
    ) -> torch.Tensor:
        run = model.run(batch, keep=needs_gradient)
        total, gradient = model.loss_of(run, needs_gradient)
        ctx.model, ctx.run, ctx.gradient = model, run, gradient
        return total

    @staticmethod
    def backward(ctx: Any, given: torch.Tensor) -> Any:
        model, run, gradient = ctx.model, ctx.run, ctx.gradient
        if run is None:
            raise RuntimeError("the backward pass of this loss has run already; compute the loss again")
        ctx.run = ctx.gradient = None
        with torch.no_grad():
            return None, None, None, *model.backward(run, gradient.mul_(given.to(gradient.dtype)))


def _choose_operations(device: torch.device, dtype: torch.dtype, asked: bool | None) -> tuple[Any, bool]:
    """(the module that holds the operations, whether ranks must be multiples of 16)."""
    from trainer.model import kernels

    usable = device.type == "cuda" and dtype == torch.bfloat16 and kernels.available()
    if asked is False or (asked is None and not usable):
        return operations, False
    if not usable:
        raise ModelError("the Triton kernels need CUDA, Triton and device.dtype bfloat16")
    from trainer.model.kernels import operations as fused

    return fused, True
