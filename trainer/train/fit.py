"""How many sequences a forward pass takes, and whether activations are kept or computed twice: as set or estimated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from trainer.estimate.probe import probe
from trainer.model.open import dtype_of
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
    """Measure the device for a second, and choose. Every process of `group` takes part. Raises FitError when the run
    cannot fit."""
    del prepared
    measured = probe(device, dtype_of(settings, device))
    if device.type == "cuda":  # the probe's own arrays are no part of the run's peak
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    rate = sum_numbers(group, torch.tensor([measured.matmul_flops], dtype=torch.float64, device=device)).item()
    at_once = settings.batch.sequences_at_once or min(4, settings.batch.sequences_per_step)
    return Fit(
        sequences_at_once=at_once,
        checkpointing=settings.device.checkpointing == "on",
        threads=torch.get_num_threads(),
        said=f"{measured.name}: matrix products at {rate / 1e12:,.2f} TFLOP/s, measured now",
        estimate=None,
        matmul_flops=rate,
    )
