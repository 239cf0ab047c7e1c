"""What lies between a block's matrix products, in plain torch: the reference for the kernels, and what a CPU runs.

T is the number of tokens of a batch, its sequences laid end to end. A low-rank addition is a pair (`low` [T, k],
`up` [outputs, k]): the product `low @ up.T` is added to the output of a frozen projection. `trainer.model.kernels`
holds the same functions under the same names for CUDA.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

FP8 = torch.float8_e4m3fn
FP8_LARGEST = 448.0


class Activation(NamedTuple):
    """Rows of numbers, and the same in 8 bits where a product wants them so."""

    full: torch.Tensor  # [T, width]
    bits: torch.Tensor | None = None  # float8_e4m3fn [T, width]
    scale: torch.Tensor | None = None  # fp32 [T, 1]: full is about bits * scale


class LowRank(NamedTuple):
    """The part of an adapter that is added to the outputs of a group of projections."""

    low: torch.Tensor  # [T, k]
    up: torch.Tensor  # [outputs, k]


def quantize(full: torch.Tensor) -> Activation:
    """Round each row to 8 bits; its largest number becomes 448, the largest of float8_e4m3fn."""
    largest = full.abs().amax(dim=-1, keepdim=True).float().clamp(min=1e-12)
    scale = largest / FP8_LARGEST
    return Activation(full, (full.float() / scale).to(FP8), scale)


def add_norm(
    residual: torch.Tensor,
    delta: torch.Tensor | None,
    low_rank: LowRank | None,
    weight: torch.Tensor,
    epsilon: float,
    fp8: bool,
) -> tuple[torch.Tensor, Activation, torch.Tensor]:
    """Add a layer's output to the residual stream and normalize (RMSNorm): (residual, normalized, 1 / rms [T, 1])."""
    if delta is not None:
        residual = (residual.float() + _added(delta, low_rank)).to(residual.dtype)
    wide = residual.float()
    inverse = torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + epsilon)
    normal = (wide * inverse * weight.float()).to(residual.dtype)
    return residual, quantize(normal) if fp8 else Activation(normal), inverse


def norm_backward(
    gradient: torch.Tensor,
    low_rank: LowRank | None,
    residual: torch.Tensor,
    inverse: torch.Tensor,
    weight: torch.Tensor,
    passed: torch.Tensor | None,
    fp8: bool,
) -> Activation:
    """Gradient of the residual stream before a norm.

    gradient: of the norm's output, to which the low-rank part is added. residual, inverse: what `add_norm` gave.
    passed: the gradient that goes past the norm.
    """
    weighted = _added(gradient, low_rank) * weight.float()
    normal = residual.float() * inverse
    result = (weighted - normal * (weighted * normal).mean(dim=-1, keepdim=True)) * inverse
    if passed is not None:
        result = result + passed.float()
    full = result.to(residual.dtype)
    return quantize(full) if fp8 else Activation(full)


def rotate(
    heads: torch.Tensor,
    low_rank: LowRank | None,
    bias: torch.Tensor | None,
    cosine: torch.Tensor,
    sine: torch.Tensor,
    positions: torch.Tensor,
    turned: int,
) -> torch.Tensor:
    """Queries, keys and values [T, heads, width]: add the low-rank part and the bias, turn the first `turned` heads.

    cosine, sine: fp32 [positions, width / 2]. `heads` may be overwritten.
    """
    flat = _added(heads.flatten(1), low_rank)
    if bias is not None:
        flat = flat + bias.float()
    wide = flat.view(heads.shape)
    return torch.cat([_turn(wide[:, :turned], cosine[positions], sine[positions]), wide[:, turned:]], 1).to(heads.dtype)


def rotate_backward(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    cosine: torch.Tensor,
    sine: torch.Tensor,
    positions: torch.Tensor,
    fp8: bool,
) -> Activation:
    """Gradients of the turned queries, keys and the values [T, heads, width] -> of `rotate`'s input, [T, all]."""
    cosine, sine = cosine[positions], -sine[positions]
    parts = (_turn(queries.float(), cosine, sine), _turn(keys.float(), cosine, sine), values.float())
    full = torch.cat([part.flatten(1) for part in parts], dim=1).to(queries.dtype)
    return quantize(full) if fp8 else Activation(full)


def swiglu(gate_up: torch.Tensor, low_rank: LowRank | None, fp8: bool) -> Activation:
    """[T, 2 F] -> silu(gate) * up, [T, F], with the low-rank part added first."""
    gate, up = _added(gate_up, low_rank).chunk(2, dim=1)
    full = (torch.nn.functional.silu(gate) * up).to(gate_up.dtype)
    return quantize(full) if fp8 else Activation(full)


def swiglu_backward(
    gradient: torch.Tensor, below: LowRank | None, gate_up: torch.Tensor, low_rank: LowRank | None, fp8: bool
) -> Activation:
    """Gradient of `swiglu`'s output, to which `below` is added -> gradient of gate and up, [T, 2 F].

    `gate_up` may be overwritten.
    """
    given = _added(gradient, below)
    gate, up = _added(gate_up, low_rank).chunk(2, dim=1)
    squashed = torch.sigmoid(gate)
    silu = gate * squashed
    full = torch.cat([given * up * (squashed + silu * (1 - squashed)), given * silu], dim=1).to(gate_up.dtype)
    return quantize(full) if fp8 else Activation(full)


def _added(frozen: torch.Tensor, low_rank: LowRank | None) -> torch.Tensor:
    """In fp32. A young adapter adds less than the spacing of bfloat16 at the output it is added to: rounded to
    bfloat16 there, as a sum of two bfloat16 numbers, it would vanish altogether."""
    return frozen.float() if low_rank is None else frozen.float() + low_rank.low.float() @ low_rank.up.T.float()


def _turn(heads: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    first, second = heads.chunk(2, dim=-1)
    cosine, sine = cosine[:, None], sine[:, None]
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
