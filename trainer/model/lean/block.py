"""One transformer block, forward and backward, written out.

Autograd would keep every intermediate array; here each is kept or computed again on purpose, the frozen weights never
get a gradient, and the low-rank parts ride along in kernels that read the same rows anyway. A block takes the residual
stream and what the block before has still to add to it (`pending`), so that this addition and the norm are one pass.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from trainer.model.batch import DeviceBatch
from trainer.model.lean import attention
from trainer.model.lean.factors import Group
from trainer.model.lean.frozen import Frozen
from trainer.model.lean.operations import Activation, LowRank


class BlockWeights(NamedTuple):
    """What is frozen in one block."""

    attention_norm: torch.Tensor  # [hidden]
    qkv: Frozen
    output: Frozen
    feed_forward_norm: torch.Tensor
    gate_up: Frozen
    down: Frozen


class Setting(NamedTuple):
    """What all blocks of a pass share."""

    batch: DeviceBatch
    positions: torch.Tensor  # [T]
    cosine: torch.Tensor
    sine: torch.Tensor
    heads: int
    kv_heads: int
    head_width: int
    epsilon: float
    operations: Any  # the module trainer.model.lean.operations or trainer.model.kernels.operations
    fp8_forward: bool
    fp8_backward: bool


class Pending(NamedTuple):
    """The residual stream [T, hidden], and the output of a projection that is yet to be added to it."""

    residual: torch.Tensor
    delta: torch.Tensor | None = None
    low_rank: LowRank | None = None


class Kept(NamedTuple):
    """What a block's backward pass reads."""

    before: torch.Tensor  # residual stream at the block's start
    before_inverse: torch.Tensor
    attention_input: torch.Tensor
    attention_low: torch.Tensor
    attended: attention.Attended
    output_low: torch.Tensor
    middle: torch.Tensor  # residual stream after attention
    middle_inverse: torch.Tensor
    feed_forward_input: torch.Tensor
    gate_up: torch.Tensor
    gate_up_low: torch.Tensor
    product: torch.Tensor  # silu(gate) * up
    down_low: torch.Tensor


def forward(
    weights: BlockWeights, factors: list[Group], start: Pending, setting: Setting, *, keep: bool, finish: bool = True
) -> tuple[Pending, torch.Tensor, Kept | None]:
    """(what the next block starts from, the residual stream at this block's start, what `backward` reads if `keep`).

    With `finish` false the last product is left out: a block that is computed again for its backward pass has no
    use for it.
    """
    ops, fp8 = setting.operations, setting.fp8_forward
    qkv_factors, output_factors, gate_up_factors, down_factors = factors
    before, inputs, before_inverse = ops.add_norm(
        start.residual, start.delta, start.low_rank, weights.attention_norm, setting.epsilon, fp8
    )
    attention_low = inputs.full @ qkv_factors.down.T
    heads = weights.qkv.forward(inputs).view(-1, setting.heads + 2 * setting.kv_heads, setting.head_width)
    turned = setting.heads + setting.kv_heads
    heads = ops.rotate(
        heads,
        LowRank(attention_low, qkv_factors.up),
        weights.qkv.bias,
        setting.cosine,
        setting.sine,
        setting.positions,
        turned,
    )
    attended = attention.attend(
        (heads[:, : setting.heads], heads[:, setting.heads : turned], heads[:, turned:]), setting.batch, keep
    )
    mixed = attended.output.flatten(1)
    output_low = mixed @ output_factors.down.T
    delta = weights.output.forward(ops.quantize(mixed) if fp8 else Activation(mixed))
    middle, normal, middle_inverse = ops.add_norm(
        before, delta, LowRank(output_low, output_factors.up), weights.feed_forward_norm, setting.epsilon, fp8
    )
    gate_up_low = normal.full @ gate_up_factors.down.T
    gate_up = weights.gate_up.forward(normal)
    product = ops.swiglu(gate_up, LowRank(gate_up_low, gate_up_factors.up), fp8)
    down_low = product.full @ down_factors.down.T
    kept = None
    if keep:
        kept = Kept(
            before=before,
            before_inverse=before_inverse,
            attention_input=inputs.full,
            attention_low=attention_low,
            attended=attended,
            output_low=output_low,
            middle=middle,
            middle_inverse=middle_inverse,
            feed_forward_input=normal.full,
            gate_up=gate_up,
            gate_up_low=gate_up_low,
            product=product.full,
            down_low=down_low,
        )
    last = weights.down.forward(product) if finish else None
    return Pending(middle, last, LowRank(down_low, down_factors.up)), before, kept


def backward(
    weights: BlockWeights, factors: list[Group], kept: Kept, gradient: Activation, setting: Setting, *, first: bool
) -> tuple[Activation | None, list[Group]]:
    """Gradient of the residual stream after the block -> (before it, gradients of the factors).

    Before the `first` block is the embedding, which is frozen: nobody wants a gradient there.
    """
    ops, fp8 = setting.operations, setting.fp8_backward
    qkv_factors, output_factors, gate_up_factors, down_factors = factors

    down_back, down_gradient = _factors_backward(down_factors, gradient.full, kept.down_low, kept.product)
    wide = ops.swiglu_backward(
        weights.down.backward(gradient),
        LowRank(down_back, down_factors.down.T),
        kept.gate_up,
        LowRank(kept.gate_up_low, gate_up_factors.up),
        fp8,
    )
    wide_back, gate_up_gradient = _factors_backward(
        gate_up_factors, wide.full, kept.gate_up_low, kept.feed_forward_input
    )
    middle = ops.norm_backward(
        weights.gate_up.backward(wide),
        LowRank(wide_back, gate_up_factors.down.T),
        kept.middle,
        kept.middle_inverse,
        weights.feed_forward_norm,
        gradient.full,
        fp8,
    )
    del wide
    mixed = kept.attended.output.flatten(1)
    output_back, output_gradient = _factors_backward(output_factors, middle.full, kept.output_low, mixed)
    mixed_gradient = weights.output.backward(middle).addmm_(output_back, output_factors.down)
    assert kept.attended.backward is not None
    queries, keys, values = kept.attended.backward(mixed_gradient.view(kept.attended.output.shape))
    turned = ops.rotate_backward(queries, keys, values, setting.cosine, setting.sine, setting.positions, fp8)
    turned_back, qkv_gradient = _factors_backward(qkv_factors, turned.full, kept.attention_low, kept.attention_input)
    gradients = [qkv_gradient, output_gradient, gate_up_gradient, down_gradient]
    if first:
        return None, gradients
    result = ops.norm_backward(
        weights.qkv.backward(turned),
        LowRank(turned_back, qkv_factors.down.T),
        kept.before,
        kept.before_inverse,
        weights.attention_norm,
        middle.full,
        fp8,
    )
    return result, gradients


def _factors_backward(
    factors: Group, gradient: torch.Tensor, low: torch.Tensor, inputs: torch.Tensor
) -> tuple[torch.Tensor, Group]:
    """(gradient of `low`, gradients of the factors) from the gradient of a group's outputs [T, outputs]."""
    back = gradient @ factors.up
    return back, Group(down=back.T @ inputs, up=gradient.T @ low)
