"""One process, or several that hold the same adapter: each takes its share of a step's batches, gradients are summed.

`torchrun` and `accelerate launch` say in the environment who is who. Only the adapter's gradients travel, as one
array a step: at rank 16 on an 8B model 168 MB.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Group:
    """This process among the others; alone: rank 0 of 1."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0


def read_group() -> Group:
    """Who this process is, by the variables that torchrun and accelerate set."""

    def number(name: str, default: int) -> int:
        return int(os.environ.get(name, default))

    size = number("WORLD_SIZE", 1)
    return Group(number("RANK", 0), size, number("LOCAL_RANK", 0), number("LOCAL_WORLD_SIZE", size))


def join(group: Group, device: torch.device) -> None:
    """Meet the others: NCCL between GPUs, Gloo between CPUs."""
    if group.size > 1:
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")


def leave(group: Group) -> None:
    if group.size > 1 and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def agree(group: Group, value: Any) -> Any:
    """What the first process says, to all."""
    if group.size == 1:
        return value
    box = [value]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]


def sum_gradients(group: Group, parameters: Sequence[torch.nn.Parameter], extra: torch.Tensor) -> torch.Tensor:
    """Sum the parameters' gradients over all processes, in place, and return the sum of `extra` (fp32 [n]).

    A process whose share of the step was empty has no gradients: it adds zeros.
    """
    if group.size == 1:
        return extra
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([extra, *(gradient.reshape(-1) for gradient in gradients)])
    torch.distributed.all_reduce(flat)
    start = extra.numel()
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()
    return flat[: extra.numel()]


def sum_numbers(group: Group, values: torch.Tensor) -> torch.Tensor:
    """The sum of `values` over all processes."""
    if group.size > 1:
        torch.distributed.all_reduce(values)
    return values
