"""One optimizer step over the batches of all processes, and what it tells."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

from trainer.data.batches import Batch
from trainer.model.batch import to_device
from trainer.model.open import TrainableModel
from trainer.train.distributed import Group, sum_gradients


class Step(NamedTuple):
    """Sums over all processes, the same in each of them."""

    loss: float
    """Nats a learned token, before the update."""
    gradient_norm: float
    """L2, before clipping."""
    learned_tokens: int
    real_tokens: int
    positions: int
    """Real tokens and padding."""
    interrupted: int
    """The signal that some process was sent, or 0."""
    clock: float
    """Seconds of steps up to this one's update, by the first process: what a limit on time is held against."""


def take_step(
    model: TrainableModel,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Batch],
    *,
    max_gradient_norm: float,
    device: torch.device,
    group: Group,
    heard: int,
    seconds_before: float,
) -> Step:
    """Add up the gradients of `batches`, scale them to the mean over learned tokens, clip, update.

    heard: the signal that this process was sent, or 0. seconds_before: of the steps before this one.
    A loss or gradient that is not finite changes nothing: the caller sees it in what is returned.
    """
    began = time.monotonic()
    parameters = [parameter for settings in optimizer.param_groups for parameter in settings["params"]]
    loss_sum = torch.zeros((), device=device)
    for batch in batches:
        loss = model.loss_sum(to_device(batch, device))
        loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
        loss_sum += loss.detach()
    learned = sum(batch.learned_tokens for batch in batches)
    real = sum(batch.real_tokens for batch in batches)
    positions = sum(batch.tokens.size for batch in batches)
    clock = seconds_before + time.monotonic() - began if group.first else 0.0
    said = torch.tensor([learned, real, positions, heard == 2, heard == 15, clock], dtype=torch.float32, device=device)
    sums = sum_gradients(group, parameters, torch.cat([loss_sum[None], said]))
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.div_(sums[1])
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_gradient_norm)
    # The one moment in a step when the host waits for the device.
    total, learned, real, positions, hung_up, ended, clock, norm = torch.cat([sums, norm.float()[None]]).tolist()
    result = Step(
        loss=total / learned,
        gradient_norm=norm,
        learned_tokens=int(learned),
        real_tokens=int(real),
        positions=int(positions),
        interrupted=2 if hung_up else 15 if ended else 0,
        clock=clock,
    )
    if abs(result.loss) < float("inf") and norm < float("inf"):  # also false for a NaN
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return result
