"""What is measured: variants of the trainer, and the work they are given. Pure: no torch."""

from __future__ import annotations

from typing import Any

import msgspec

from trainer.model.shape import ModelShape, Rope

# Llama 3.1 8B's own config.json (Meta, 2024).
LLAMA_8B = ModelShape(
    family="llama",
    layers=32,
    hidden=4096,
    heads=32,
    kv_heads=8,
    head_width=128,
    feed_forward=14336,
    vocabulary=128256,
    norm_epsilon=1e-5,
    tied=False,
    rope=Rope(theta=500_000.0, kind="llama3", factor=8.0),
    attention_bias=False,
    output_bias=False,
    feed_forward_bias=False,
    head_norms=False,
    sliding_window=None,
    max_positions=131_072,
)

VARIANTS = {
    "plain-fp32": "transformers with peft's LoRA layers in fp32: the truth that the others round",
    "plain": "transformers with peft's LoRA layers",
    "liger": "plain, with Liger's kernels for norm, rotary positions and SwiGLU",
    "lean-torch": "own forward and backward pass with lean LoRA layers, in plain torch",
    "lean": "the same with own Triton kernels",
    "lean-fp8-backward": "lean, the frozen projections' input gradients in 8 bits",
    "lean-fp8": "lean, the frozen projections in 8 bits both ways",
}

DEFAULT = tuple(name for name in VARIANTS if name != "plain-fp32")  # which is slow, and large


class Case(msgspec.Struct, frozen=True):
    """One measurement: a variant, and the batch it is given."""

    variant: str
    sequences: int = 4
    tokens: int = 2048  # of a sequence
    documents: int = 1  # of a sequence
    checkpointing: bool = False
    rank: int = 16

    @property
    def name(self) -> str:
        parts = [self.variant, f"{self.sequences} x {self.tokens}"]
        if self.documents > 1:
            parts.append(f"{self.documents} documents each")
        if self.checkpointing:
            parts.append("checkpointing")
        if self.rank != 16:
            parts.append(f"rank {self.rank}")
        return ", ".join(parts)


def parse_case(text: str) -> Case:
    """`lean-fp8` or `lean-fp8,sequences=8,checkpointing=on`. Raises `ValueError`."""
    variant, *rest = (part.strip() for part in text.split(","))
    if variant not in VARIANTS:
        raise ValueError(f"{variant!r} is no variant; there are {', '.join(VARIANTS)}")
    found: dict[str, Any] = {}
    for part in rest:
        key, equals, value = part.partition("=")
        if key not in ("sequences", "tokens", "documents", "checkpointing", "rank") or not equals:
            raise ValueError(f"{part!r} in {text!r}: say sequences=, tokens=, documents=, rank= or checkpointing=on")
        if key == "checkpointing":
            if value not in ("on", "off"):
                raise ValueError(f"checkpointing is {value!r} in {text!r}: say on or off")
            found[key] = value == "on"
        elif value.isdigit() and int(value) >= 1:
            found[key] = int(value)
        else:
            raise ValueError(f"{key} is {value!r} in {text!r}: a whole number of at least 1 is needed")
    return Case(variant, **found)


class Result(msgspec.Struct):
    """What one case gave. A case that failed, or whose loss departs from plain's, has no speed."""

    case: Case
    verdict: str  # "ok", "WRONG", "failed", or "not compared": there was no plain case of the same batch
    problem: str = ""
    losses: list[float] = []  # mean nats a learned token, each step
    step_seconds: list[float] = []  # after warm-up
    tokens_per_second: float | None = None  # real tokens; the median step
    model_flops_utilization: float | None = None  # of the device's measured bf16 product
    peak_bytes: int | None = None  # allocated at most
    reserved_bytes: int | None = None  # held by the allocator at most
    largest_difference: float | None = None  # of the losses, from plain's
    mean_difference: float | None = None
    real_tokens: int = 0  # a step
    mean_context: float = 0.0  # tokens that a token sees, itself included
    open_seconds: float = 0.0
    kernel_seconds: dict[str, float] = {}  # of one step, by kind of kernel


LARGEST_NATS, MEAN_NATS = 0.1, 0.03  # by which losses on random tokens may differ at most, and on average


def judge(results: list[Result]) -> None:
    """Compare each case's losses with those of plain on the same batches; take the speed of a wrong one away.

    bfloat16 rounds plain's losses too. Where plain-fp32 ran on the same batches it is the measure, and a variant may
    be as far from it as plain itself is.
    """
    plain = {_batch(found.case): found for found in results if found.case.variant == "plain" and found.losses}
    truth = {_batch(found.case): found for found in results if found.case.variant == "plain-fp32" and found.losses}
    for found in results:
        if found.verdict == "failed":
            continue
        batch = _batch(found.case)
        reference = truth.get(batch) or plain.get(batch)
        if reference is None:
            found.verdict = "not compared"
            continue
        found.largest_difference, found.mean_difference = _distance(found, reference)
        largest, mean = LARGEST_NATS, MEAN_NATS
        if batch in truth and batch in plain:
            its_largest, its_mean = _distance(plain[batch], truth[batch])
            largest, mean = max(largest, its_largest), max(mean, its_mean)
        # A NaN compares as false, so the test is for what is right.
        right = found.largest_difference <= largest and found.mean_difference <= mean
        found.verdict = "ok" if right else "WRONG"
        if not right:
            found.tokens_per_second = found.model_flops_utilization = None


def _distance(found: Result, reference: Result) -> tuple[float, float]:
    differences = [abs(mine - its) for mine, its in zip(found.losses, reference.losses, strict=True)]
    return max(differences), sum(differences) / len(differences)


def _batch(case: Case) -> tuple[int, ...]:
    return (case.sequences, case.tokens, case.documents, case.rank)
