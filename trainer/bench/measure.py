"""One case: open the variant's model, take steps, and note losses, time and memory."""

from __future__ import annotations

import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from trainer.bench.cases import Case, Result
from trainer.bench.work import batches, mean_context, random_weights
from trainer.model.batch import DeviceBatch
from trainer.model.lean.model import LeanModel
from trainer.model.open import TrainableModel
from trainer.model.shape import ModelShape
from trainer.settings.schema import LoraSettings

_CHUNK_TOKENS = 2048
_DIFFERENT_BATCHES = 2  # so few that the loss falls, and a wrong gradient shows
_GROWN = 0.01  # deviation of the B's of an adapter that has been trained for a while
_PRECISION = {"lean-fp8": "fp8", "lean-fp8-backward": "fp8_backward"}


def measure(
    case: Case,
    shape: ModelShape,
    device: torch.device,
    *,
    start: dict[str, torch.Tensor],
    steps: int,
    warmup: int,
    seed: int,
    learning_rate: float,
    matmul_flops: float,
    fresh: bool,
    profile: bool,
) -> Result:
    """`start`: the adapter to begin with; filled from the first case of a rank, used by all others. `fresh`: its B's
    are zero, as at a run's start; otherwise they are random, so that every gradient counts from the first step."""
    opened = time.perf_counter()
    with _liger_taken_back():
        return _measured(
            case, shape, device, opened, start, steps, warmup, seed, learning_rate, matmul_flops, fresh, profile
        )


def _measured(
    case: Case,
    shape: ModelShape,
    device: torch.device,
    opened: float,
    start: dict[str, torch.Tensor],
    steps: int,
    warmup: int,
    seed: int,
    learning_rate: float,
    matmul_flops: float,
    fresh: bool,
    profile: bool,
) -> Result:
    model = open_variant(case, shape, device, seed)
    prefix = f"rank {case.rank}: "
    if any(name.startswith(prefix) for name in start):
        model.load_adapter_state({n.removeprefix(prefix): w for n, w in start.items() if n.startswith(prefix)})
    else:
        state = model.adapter_state()
        if not fresh:
            generator = torch.Generator().manual_seed(seed)
            for name, weight in state.items():
                if "lora_B" in name:
                    weight.normal_(0.0, _GROWN, generator=generator)
            model.load_adapter_state(state)
        start.update({prefix + name: weight for name, weight in state.items()})
    data = batches(case, shape.vocabulary, seed, device, _DIFFERENT_BATCHES)
    optimizer = torch.optim.AdamW(model.trainable(), lr=learning_rate, weight_decay=0.0, fused=device.type == "cuda")
    result = Result(case, "ok", open_seconds=time.perf_counter() - opened)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    for number in range(warmup + steps):
        batch = data[number % len(data)]
        _wait(device)
        began = time.perf_counter()
        loss = take_step(model, optimizer, batch)
        _wait(device)
        if number >= warmup:
            result.step_seconds.append(time.perf_counter() - began)
        result.losses.append(float(loss))
    if device.type == "cuda":
        result.peak_bytes = torch.cuda.max_memory_allocated(device)
        result.reserved_bytes = torch.cuda.max_memory_reserved(device)
    result.real_tokens = data[0].real_tokens
    result.mean_context = statistics.fmean(mean_context(batch) for batch in data)
    rate = result.real_tokens / statistics.median(result.step_seconds)
    learned = data[0].learned_tokens / data[0].real_tokens
    flops = shape.flops_per_token(LoraSettings(rank=case.rank), result.mean_context, learned)
    result.tokens_per_second, result.model_flops_utilization = rate, rate * flops / matmul_flops
    if profile and device.type == "cuda":
        from trainer.bench.kernel_times import kernel_seconds

        names: dict[str, float] = {}
        result.kernel_seconds = kernel_seconds(lambda: take_step(model, optimizer, data[0]), names)
        for name, seconds in sorted(names.items(), key=lambda item: -item[1])[:45]:
            print(f"    {seconds * 1e3:8.2f} ms  {name[:110]}", flush=True)
    return result


def take_step(model: TrainableModel, optimizer: Any, batch: DeviceBatch) -> torch.Tensor:
    """Forward, backward, gradients scaled down to a norm of 1, AdamW. Mean nats a learned token, on the device."""
    optimizer.zero_grad(set_to_none=True)
    loss = model.loss_sum(batch) / batch.learned_tokens
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.trainable(), 1.0)
    optimizer.step()
    return loss.detach()


def open_variant(
    case: Case,
    shape: ModelShape,
    device: torch.device,
    seed: int,
    read: Callable[[str], torch.Tensor] | None = None,
) -> TrainableModel:
    """The variant's model with random weights (or those of `read`) and a fresh adapter."""
    lora = LoraSettings(rank=case.rank, alpha=2 * case.rank)
    read = read or random_weights(shape, seed, device)
    exact = device.type != "cuda" or case.variant == "plain-fp32"
    dtype = torch.float32 if exact else torch.bfloat16
    torch.manual_seed(seed)
    if case.variant in ("plain-fp32", "plain", "liger"):
        from trainer.model.plain import PlainModel

        return PlainModel(
            _transformers_model(shape, read, device, dtype, liger=case.variant == "liger"),
            lora,
            base=Path("random"),
            shape=shape,
            checkpointing=case.checkpointing,
            chunk=_CHUNK_TOKENS,
        )
    return LeanModel(
        read,
        shape,
        lora,
        base=Path("random"),
        device=device,
        dtype=dtype,
        checkpointing=case.checkpointing,
        chunk=_CHUNK_TOKENS,
        max_tokens=case.tokens,
        seed=seed,
        precision=_PRECISION.get(case.variant, "full"),
        kernels=False if case.variant == "lean-torch" else None,
    )


@contextlib.contextmanager
def _liger_taken_back() -> Iterator[None]:
    """Liger replaces parts of transformers' module for the whole process: put them back, or later cases have them."""
    import transformers.models.llama.modeling_llama as module

    before = dict(vars(module))
    classes: list[Any] = [value for value in before.values() if isinstance(value, type) and "forward" in vars(value)]
    forwards = [found.forward for found in classes]
    try:
        yield
    finally:
        vars(module).update(before)
        for found, forward in zip(classes, forwards, strict=True):
            found.forward = forward


def free(device: torch.device) -> None:
    """Give a closed model's memory back."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _transformers_model(
    shape: ModelShape, read: Callable[[str], torch.Tensor], device: torch.device, dtype: torch.dtype, *, liger: bool
) -> Any:
    from transformers import AutoModelForCausalLM, LlamaConfig

    rope: dict[str, Any] = {"rope_type": shape.rope.kind, "rope_theta": shape.rope.theta}
    if shape.rope.kind == "llama3":
        rope |= {
            "factor": shape.rope.factor,
            "low_freq_factor": shape.rope.low_frequency_factor,
            "high_freq_factor": shape.rope.high_frequency_factor,
            "original_max_position_embeddings": shape.rope.original_positions,
        }
    config = LlamaConfig(
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_width,
        intermediate_size=shape.feed_forward,
        vocab_size=shape.vocabulary,
        rms_norm_eps=shape.norm_epsilon,
        tie_word_embeddings=shape.tied,
        max_position_embeddings=shape.max_positions,
        rope_parameters=rope,
    )
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(read(name))
    if liger:
        from liger_kernel.transformers import apply_liger_kernel_to_llama

        apply_liger_kernel_to_llama(
            rope=True, rms_norm=True, swiglu=True, cross_entropy=False, fused_linear_cross_entropy=False, model=model
        )
    return model


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
