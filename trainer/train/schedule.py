"""The learning rate of each step: up from 0 over the warm-up, then down to 0 at the step after the last. Pure."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

Decay: TypeAlias = Literal["cosine", "linear", "constant"]


def warmup_steps(steps: int, share: float) -> int:
    """Whole steps of warm-up in a run of `steps`."""
    return min(steps, math.ceil(steps * share - 1e-9))


def learning_rate(step: int, steps: int, *, peak: float, warmup_share: float, decay: Decay) -> float:
    """The rate of step `step` (from 1) of `steps`.

    The last step of the warm-up and the one after it have the peak; no step has a rate of 0, which would be wasted.
    """
    if not 1 <= step <= steps:
        raise ValueError(f"step {step} is not one of 1 to {steps}")
    warmup = warmup_steps(steps, warmup_share)
    if step <= warmup:
        return peak * step / warmup
    done = (step - warmup - 1) / (steps - warmup)
    if decay == "constant":
        return peak
    if decay == "linear":
        return peak * (1.0 - done)
    return peak * 0.5 * (1.0 + math.cos(math.pi * done))


def planned_steps(steps_per_epoch: int, epochs: float | None, max_steps: int | None) -> int:
    """Steps of the whole run, by whichever ends first. Part of an epoch is rounded up to whole steps."""
    limits = [] if max_steps is None else [max_steps]
    if epochs is not None:
        limits.append(max(1, math.ceil(epochs * steps_per_epoch - 1e-9)))
    if not limits:
        raise ValueError("neither epochs nor max_steps is given")
    return min(limits)
