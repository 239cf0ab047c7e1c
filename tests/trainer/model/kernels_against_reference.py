"""Run in the training environment: every Triton kernel against its reference in plain torch. Prints JSON.

`python kernels_against_reference.py cuda`, or with TRITON_INTERPRET=1 and `cpu`.
"""

import json
import sys

import torch

from trainer.model.kernels import operations as kernels
from trainer.model.kernels.cross_entropy import cross_entropy_rows_
from trainer.model.lean import operations as reference
from trainer.model.lean.operations import LowRank
from trainer.model.loss import _cross_entropy_rows

device = sys.argv[1]
on_gpu = device == "cuda"
dtype = torch.bfloat16 if on_gpu else torch.float32
torch.manual_seed(0)
farthest: dict[str, float] = {}


def random(*size, scale=1.0):
    return (torch.randn(*size, device=device) * scale).to(dtype)


def compare(name, mine, its):
    mine, its = mine.float(), its.float()
    far = float((mine - its).norm() / its.norm().clamp(min=1e-9))
    farthest[name] = max(farthest.get(name, 0.0), far if far == far else float("inf"))


def compare_activations(name, mine, its):
    compare(name, mine.full, its.full)
    if its.bits is not None:
        compare(f"{name}, 8 bits", mine.bits.float() * mine.scale, its.bits.float() * its.scale)


def low_rank(tokens, outputs, rank):
    """Each of `outputs` reads columns of its own."""
    up = torch.zeros(sum(outputs), rank * len(outputs), device=device, dtype=dtype)
    row = 0
    for index, width in enumerate(outputs):
        up[row : row + width, index * rank : (index + 1) * rank] = random(width, rank, scale=0.1)
        row += width
    return LowRank(random(tokens, rank * len(outputs)), up)


def check(tokens, hidden, feed, heads, kv, width, rank, fp8):
    residual, delta, weight, given, passed = (
        random(*s) for s in [(tokens, hidden)] * 2 + [(hidden,)] + [(tokens, hidden)] * 2
    )
    for added in (low_rank(tokens, [hidden], rank), None):
        mine = kernels.add_norm(residual, delta.clone(), added, weight, 1e-5, fp8)
        its = reference.add_norm(residual, delta, added, weight, 1e-5, fp8)
        compare("residual", mine[0], its[0])
        compare_activations("norm", mine[1], its[1])
        compare("1 / rms", mine[2], its[2])
        for past in (passed, None):
            arguments = (added, its[0], its[2], weight, past, fp8)
            compare_activations(
                "norm backward",
                kernels.norm_backward(given.clone(), *arguments),
                reference.norm_backward(given, *arguments),
            )
    alone = (residual, None, None, weight, 1e-5, fp8)
    compare_activations("norm alone", kernels.add_norm(*alone)[1], reference.add_norm(*alone)[1])
    gate_up, added, wide = random(tokens, 2 * feed), low_rank(tokens, [feed, feed], rank), random(tokens, feed)
    compare_activations("swiglu", kernels.swiglu(gate_up.clone(), added, fp8), reference.swiglu(gate_up, added, fp8))
    below = LowRank(random(tokens, rank), random(rank, feed, scale=0.1).T)
    compare_activations(
        "swiglu backward",
        kernels.swiglu_backward(wide.clone(), below, gate_up.clone(), added, fp8),
        reference.swiglu_backward(wide, below, gate_up, added, fp8),
    )
    angles = torch.rand(50, width // 2, device=device) * 6
    places = torch.randint(0, 50, (tokens,), device=device)
    tables = (angles.cos(), angles.sin(), places)
    rows, added = random(tokens, heads + 2 * kv, width), low_rank(tokens, [heads * width, kv * width, kv * width], rank)
    for bias in (random((heads + 2 * kv) * width), None):
        arguments = (added, bias, *tables, heads + kv)
        compare("rotate", kernels.rotate(rows.clone(), *arguments), reference.rotate(rows, *arguments))
    parts = (random(tokens, heads, width), random(tokens, kv, width), random(tokens, kv, width))
    compare_activations(
        "rotate backward",
        kernels.rotate_backward(*parts, *tables, fp8),
        reference.rotate_backward(*parts, *tables, fp8),
    )
    if fp8:
        compare_activations("quantize", kernels.quantize(given), reference.quantize(given))
    logits = random(tokens, 997, scale=3.0)
    targets = torch.randint(0, 997, (tokens,), device=device)
    gradient = logits.clone()
    loss = cross_entropy_rows_(gradient, targets, True)
    its_loss, its_gradient = _cross_entropy_rows(logits.clone(), targets, True)
    compare("loss", loss, its_loss)
    compare("loss backward", gradient, its_gradient)


check(19, 96, 80, 3, 1, 16, 16, False)
check(21, 576, 1536, 9, 3, 64, 96, False)
check(19, 96, 80, 3, 1, 16, 16, True)
if on_gpu:
    for fp8 in (False, True):
        check(1000, 4096, 14336, 32, 8, 128, 16, fp8)
print(json.dumps(farthest))
