"""The loss on held-out rows: when it is taken, which one is the best, when to stop. Pure but for `mean_loss`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trainer.train.record import Evaluation, best

if TYPE_CHECKING:
    import torch

    from trainer.model.open import TrainableModel
    from trainer.train.distributed import Group

TIMES_A_RUN = 10


def interval(steps: int, asked: int | None) -> int:
    """Steps between evaluations: as asked, else so that there are ten in the run."""
    return asked if asked is not None else math.ceil(steps / TIMES_A_RUN)


def out_of_patience(evaluations: Sequence[Evaluation], patience: int | None) -> bool:
    """Whether the last `patience` evaluations were all no better than the best one before them."""
    found = best(evaluations)
    if patience is None or found is None:
        return False
    return sum(evaluation.step > found.step for evaluation in evaluations) >= patience


def mean_loss(model: TrainableModel, batches: Sequence[Any], device: torch.device, group: Group) -> tuple[float, int]:
    """(nats a learned token, learned tokens) over `batches`, this process's share, and those of the others."""
    import torch

    from trainer.model.batch import to_device
    from trainer.train.distributed import sum_numbers

    model.eval()
    total = torch.zeros(2, dtype=torch.float64, device=device)
    with torch.no_grad():
        for batch in batches:
            total[0] += model.loss_sum(to_device(batch, device))
            total[1] += batch.learned_tokens
    model.train()
    loss, tokens = sum_numbers(group, total).tolist()
    return loss / tokens, int(tokens)
