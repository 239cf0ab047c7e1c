"""Cross entropy over the head without the full logits.

The logits of a batch are its largest array: 8,192 tokens of a 128,256-word vocabulary are 4.2 GB in fp32. Here the
head runs over a chunk of the learned positions at a time. The head is frozen, so the gradient that reaches the hidden
states is known as soon as a chunk's logits are: it is computed in the forward pass, in place of the logits, and only
`[learned tokens, hidden]` is kept for the backward pass. The idea is Liger Kernel's and Apple's Cut Cross Entropy's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.nn.functional import linear


class Head(NamedTuple):
    """The last, frozen projection: hidden states to logits."""

    weight: torch.Tensor  # [vocabulary, hidden]
    bias: torch.Tensor | None = None
    multiplier: float = 1.0  # logits are multiplied by it (Cohere; Granite divides)
    softcap: float | None = None  # logits become softcap * tanh(logits / softcap) (Gemma 2)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits in the weights' dtype, shape [..., vocabulary]."""
        logits = linear(hidden.to(self.weight.dtype), self.weight, self.bias)
        if self.multiplier != 1.0:
            logits = logits * self.multiplier
        return logits if self.softcap is None else torch.tanh(logits / self.softcap) * self.softcap


def cross_entropy_sum(hidden: torch.Tensor, head: Head, targets: torch.Tensor, chunk_tokens: int) -> torch.Tensor:
    """Sum of cross entropy in nats, fp32 scalar with a gradient for `hidden`.

    hidden: [tokens, hidden], only positions that are learned. targets: int64 [tokens]. At most `chunk_tokens` rows of
    logits exist at a time. Softmax and sum are in fp32 whatever the dtype of the head.
    """
    result: torch.Tensor = _ChunkedCrossEntropy.apply(
        hidden, head, targets, chunk_tokens, torch.is_grad_enabled() and hidden.requires_grad
    )
    return result


def cross_entropy_and_gradient(
    hidden: torch.Tensor, head: Head, targets: torch.Tensor, chunk_tokens: int, needs_gradient: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """`cross_entropy_sum` and its gradient with respect to `hidden`, for callers outside autograd."""
    fused = _fused_rows(hidden)
    total = torch.zeros((), dtype=torch.float32, device=hidden.device)
    gradient = torch.empty_like(hidden) if needs_gradient else None
    with torch.no_grad(), torch.autocast(hidden.device.type, enabled=False):
        for start in range(0, hidden.shape[0], chunk_tokens):
            part = slice(start, start + chunk_tokens)
            logits = head.logits(hidden[part])
            if fused is not None:
                total += fused(logits, targets[part], needs_gradient)
            else:
                loss, logits = _cross_entropy_rows(logits, targets[part], needs_gradient)
                total += loss
            if gradient is not None:
                gradient[part] = _through_head(logits, head, hidden[part])
    return total, gradient


class _ChunkedCrossEntropy(torch.autograd.Function):  # type: ignore[misc]  # torch has no types here
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, head: Head, targets: torch.Tensor, chunk_tokens: int, needs_gradient: bool
    ) -> torch.Tensor:
        total, ctx.gradient = cross_entropy_and_gradient(hidden, head, targets, chunk_tokens, needs_gradient)
        return total

    @staticmethod
    def backward(ctx: Any, given: torch.Tensor) -> Any:
        gradient, ctx.gradient = ctx.gradient, None
        return gradient.mul_(given.to(gradient.dtype)), None, None, None, None


def _cross_entropy_rows(
    logits: torch.Tensor, targets: torch.Tensor, needs_gradient: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """The reference: (sum of losses, gradient of it with respect to the logits, in their dtype)."""
    dtype, logits = logits.dtype, logits.float()
    normalizer = torch.logsumexp(logits, dim=-1, keepdim=True)
    loss = (normalizer - logits.gather(1, targets[:, None])).sum()
    if not needs_gradient:
        return loss, logits
    logits.sub_(normalizer).exp_()
    logits.scatter_add_(1, targets[:, None], torch.full_like(normalizer, -1.0))
    return loss, logits.to(dtype)


def _through_head(gradient: torch.Tensor, head: Head, hidden: torch.Tensor) -> torch.Tensor:
    """The logits' gradient back to the hidden states: [tokens, vocabulary] -> [tokens, hidden]."""
    if head.softcap is not None:
        gradient = gradient * (1 - (head.logits(hidden) / head.softcap) ** 2)
    if head.multiplier != 1.0:
        gradient = gradient * head.multiplier
    return (gradient @ head.weight).to(hidden.dtype)


def _fused_rows(hidden: torch.Tensor) -> Any:
    if hidden.device.type != "cuda":
        return None
    from trainer.model.kernels import available

    if not available():
        return None
    from trainer.model.kernels.cross_entropy import cross_entropy_rows_

    return cross_entropy_rows_
