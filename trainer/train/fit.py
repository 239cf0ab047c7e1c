"""How many sequences a forward pass takes, and whether activations are kept or computed twice: as set or estimated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import torch

from trainer.estimate.device import Device
from trainer.estimate.estimate import Estimate, Work, estimate
from trainer.estimate.probe import probe
from trainer.model.errors import ModelError
from trainer.model.open import dtype_of
from trainer.model.shape import ModelShape
from trainer.settings.schema import TrainSettings
from trainer.train.distributed import Group, sum_numbers
from trainer.train.prepare import Prepared
from trainer.train.progress import Reporter


class FitError(ValueError):
    """The run cannot fit in the device's memory; the message says what would."""


@dataclass(frozen=True, slots=True)
class Fit:
    """`estimate` is for run.json; `matmul_flops`: of all devices together, None where it was not measured."""

    sequences_at_once: int
    checkpointing: bool
    threads: int
    said: str
    estimate: dict[str, Any] | None
    matmul_flops: float | None

    def facts(self) -> dict[str, Any]:
        """What a checkpoint keeps: they decide in which order numbers are added up."""
        return {
            "sequences_at_once": self.sequences_at_once,
            "checkpointing": self.checkpointing,
            "threads": self.threads,
        }

    def as_before(self, facts: dict[str, Any], settings: TrainSettings, report: Reporter) -> Fit:
        """This fit, as the run had it when it began, so that its numbers are the same bit for bit; but for what the
        settings now ask for."""
        asked = settings.batch.sequences_at_once is not None
        before = replace(
            self,
            sequences_at_once=self.sequences_at_once if asked else int(facts["sequences_at_once"]),
            checkpointing=self.checkpointing
            if settings.device.checkpointing != "auto"
            else bool(facts["checkpointing"]),
        )
        changed = [
            f"{name} was {facts[name]} and is {now}" for name, now in before.facts().items() if facts[name] != now
        ]
        if changed:
            report.note(f"{'; '.join(changed)}: the losses will agree with an unbroken run's, but not in the last bits")
        return before


def fit(settings: TrainSettings, prepared: Prepared, device: torch.device, group: Group) -> Fit:
    """Measure the device for a second, estimate the run, and choose. Every process of `group` takes part.

    Raises FitError when the run cannot fit.
    """
    measured = probe(device, dtype_of(settings, device))
    if device.type == "cuda":  # the probe's own arrays are no part of the run's peak
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    rate = sum_numbers(group, torch.tensor([measured.matmul_flops], dtype=torch.float64, device=device)).item()
    said = f"{measured.name}: matrix products at {rate / 1e12:,.2f} TFLOP/s, measured now"
    guess, why = _guess(settings, prepared, measured, group)
    if guess is None:
        at_once = settings.batch.sequences_at_once or min(4, settings.batch.sequences_per_step)
        checkpointing = settings.device.checkpointing == "on"
    elif not guess.fits:
        raise FitError(f"this run does not fit: {why}")
    else:
        at_once, checkpointing = guess.sequences_at_once, guess.checkpointing
    return Fit(
        sequences_at_once=at_once,
        checkpointing=checkpointing,
        threads=torch.get_num_threads(),
        said=f"{said}\n{why}",
        estimate=None if guess is None else msgspec.to_builtins(guess),
        matmul_flops=rate,
    )


def _guess(settings: TrainSettings, prepared: Prepared, device: Device, group: Group) -> tuple[Estimate | None, str]:
    """(the estimate for one device, what there is to say of it)."""
    try:
        shape = ModelShape.read(Path(settings.base.model) / "config.json")
    except ModelError as problem:
        return None, f"no estimate of memory and time: {problem}"
    plan, world = prepared.plan, group.size
    share = settings.batch.model_copy(update={"sequences_per_step": -(-settings.batch.sequences_per_step // world)})
    own = settings.model_copy(update={"batch": share})
    work = Work(
        rows=-(-prepared.facts["learned_rows"] // world),
        tokens=-(-plan.tokens_per_epoch // world),
        sequences=-(-plan.sequences // world),
        learned_tokens=-(-plan.learned_tokens_per_epoch // world),
    )
    guess = estimate(shape, own, work, device)
    length = guess.run_seconds
    time = f"{length / 3600:.1f} h" if length > 5400 else f"{length / 60:.0f} min" if length > 90 else f"{length:.0f} s"
    return guess, f"{guess.why}; about {time} of steps at {guess.tokens_per_second:,.0f} tokens/s"
