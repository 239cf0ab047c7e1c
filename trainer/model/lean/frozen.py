"""Frozen matrix products, forward and for the gradient of the input, in the weights' dtype or in 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from trainer.model.lean.operations import FP8, FP8_LARGEST, Activation


class Frozen(Protocol):
    """A fixed weight [outputs, inputs]."""

    bias: torch.Tensor | None

    def forward(self, inputs: Activation) -> torch.Tensor:
        """[T, inputs] -> [T, outputs], without the bias."""

    def backward(self, gradient: Activation) -> torch.Tensor:
        """Gradient of the output [T, outputs] -> gradient of the input [T, inputs]."""


class FullPrecision:
    """One weight for both directions."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self.weight, self.bias = weight, bias

    def forward(self, inputs: Activation) -> torch.Tensor:
        return inputs.full @ self.weight.T

    def backward(self, gradient: Activation) -> torch.Tensor:
        return gradient.full @ self.weight


class EightBits:
    """float8_e4m3fn on tensor cores of Hopper and newer: one scale for each row of the activations and, in each
    direction, for each output of the weight. Products are summed in fp32 and come out in bfloat16.

    The tensor cores read both operands along the summed dimension, so the weight is kept twice, once transposed: as
    many bytes as bfloat16 once. With `forward_too` false only the gradients' product is in 8 bits, and the weight is
    kept in full as well: 1.5 times the bytes, and a forward pass without rounding.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, forward_too: bool) -> None:
        self.bias = bias
        self.weight = None if forward_too else weight
        self._bits: torch.Tensor | None = None
        self._scale: torch.Tensor | None = None
        if forward_too:
            self._bits, self._scale = _rounded(weight)
        self._back_bits, self._back_scale = _rounded(weight.T)

    def forward(self, inputs: Activation) -> torch.Tensor:
        if self.weight is not None:
            return inputs.full @ self.weight.T
        return _product(inputs, self._bits, self._scale)

    def backward(self, gradient: Activation) -> torch.Tensor:
        return _product(gradient, self._back_bits, self._back_scale)


def _rounded(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[outputs, inputs] -> the same in 8 bits, contiguous, and the outputs' scales, fp32 [1, outputs]."""
    bits = torch.empty(weight.shape, dtype=FP8, device=weight.device)
    scale = torch.empty(weight.shape[0], 1, dtype=torch.float32, device=weight.device)
    for part in torch.arange(weight.shape[0], device="cpu").split(4096):  # a wide copy of the whole would not fit
        rows = slice(int(part[0]), int(part[-1]) + 1)
        wide = weight[rows].float()
        scale[rows] = wide.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / FP8_LARGEST
        bits[rows] = (wide / scale[rows]).to(FP8)
    return bits, scale.T.contiguous()


def _product(left: Activation, bits: torch.Tensor | None, scale: torch.Tensor | None) -> torch.Tensor:
    assert left.bits is not None
    assert bits is not None
    result: torch.Tensor = torch._scaled_mm(
        left.bits, bits.T, scale_a=left.scale, scale_b=scale, out_dtype=torch.bfloat16, use_fast_accum=True
    )
    return result


def fused(weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """Weights that read the same input, under each other, so that one product does for all."""
    return weights[0] if len(weights) == 1 else torch.cat(list(weights))
