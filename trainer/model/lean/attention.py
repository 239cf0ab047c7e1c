"""Causal attention in which documents that share a sequence do not see each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from trainer.model.batch import DeviceBatch

Heads = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # queries, keys, values: [T, heads, width]


class Attended(NamedTuple):
    """An output [T, heads, width], and the way back: its gradient -> the gradients of queries, keys and values."""

    output: torch.Tensor
    backward: Callable[[torch.Tensor], Heads] | None


def attend(heads: Heads, batch: DeviceBatch, needs_gradient: bool) -> Attended:
    """Causal attention within each document."""
    if not needs_gradient:
        with torch.no_grad():
            return Attended(_forward(heads, batch), None)
    with torch.enable_grad():
        leaves = tuple(part.detach().requires_grad_() for part in heads)
        output = _forward((leaves[0], leaves[1], leaves[2]), batch)

    def backward(gradient: torch.Tensor) -> Heads:
        queries, keys, values = torch.autograd.grad(output, leaves, gradient)
        return queries, keys, values

    return Attended(output.detach(), backward)


def _forward(heads: Heads, batch: DeviceBatch) -> torch.Tensor:
    if heads[0].device.type != "cuda" or heads[0].dtype == torch.float32:
        return _each_document(heads, batch)
    if batch.one_document_each:
        return _whole_sequences(heads, batch)
    return _variable_lengths(heads, batch)


def _each_document(heads: Heads, batch: DeviceBatch) -> torch.Tensor:
    """One call a document. Padding at a sequence's end counts as a document."""
    parts = []
    for start, end in zip(batch.boundaries_host, batch.boundaries_host[1:], strict=False):
        queries, keys, values = (part[start:end].transpose(0, 1)[None] for part in heads)
        shared = queries.shape[1] // keys.shape[1]
        if shared > 1:  # torch's CPU kernels take no grouped heads
            keys, values = keys.repeat_interleave(shared, dim=1), values.repeat_interleave(shared, dim=1)
        parts.append(scaled_dot_product_attention(queries, keys, values, is_causal=True)[0].transpose(0, 1))
    return torch.cat(parts)


def _whole_sequences(heads: Heads, batch: DeviceBatch) -> torch.Tensor:
    """Each sequence is one document: cuDNN's kernel is the quickest on Hopper."""
    sequences, length = batch.tokens.shape
    queries, keys, values = (part.view(sequences, length, *part.shape[1:]).transpose(1, 2) for part in heads)
    with sdpa_kernel([SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION], set_priority=True):
        output = scaled_dot_product_attention(
            queries, keys, values, is_causal=True, enable_gqa=keys.shape[1] != queries.shape[1]
        )
    return output.transpose(1, 2).reshape(sequences * length, *heads[0].shape[1:])


def _variable_lengths(heads: Heads, batch: DeviceBatch) -> torch.Tensor:
    """Flash attention over documents of any length, laid end to end."""
    longest, bounds = batch.longest_document, batch.boundaries
    output: torch.Tensor = torch.ops.aten._flash_attention_forward(
        *heads, bounds, bounds, longest, longest, 0.0, True, False
    )[0]
    return output
