"""`run.json`, schema 1: everything that is known about a run, for people, for the registry and for plots."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from trainer.registry.durable import sha256_of_file
from trainer.settings.provenance import told
from trainer.train.schedule import planned_steps

if TYPE_CHECKING:
    from trainer.settings.load import Loaded
    from trainer.train.energy import Meter
    from trainer.train.fit import Fit
    from trainer.train.prepare import Prepared
    from trainer.train.step import Step

SCHEMA = 1
FILE = "run.json"


class Point(msgspec.Struct, frozen=True):
    """One optimizer step. `loss`: nats a learned token, over the step, before its update."""

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    """L2, before clipping."""
    tokens: int
    """Real (non-padding) tokens since the run began."""
    seconds: float
    """Seconds of steps since the run began: without evaluations, checkpoints and loading."""


class Evaluation(msgspec.Struct, frozen=True):
    """The loss on the held-out rows after `step` steps; at step 0 it is the base model's."""

    step: int
    loss: float
    learned_tokens: int
    seconds: float


class Attempt(msgspec.Struct, kw_only=True):
    """One process's part of the run. `end` stays null when it was killed."""

    started_at: str
    first_step: int
    last_step: int
    wall_seconds: float = 0.0
    end: str | None = None


class Totals(msgspec.Struct, kw_only=True):
    """Sums over the run, as far as its checkpoints reach."""

    steps: int = 0
    real_tokens: int = 0
    padding_tokens: int = 0
    learned_tokens: int = 0
    step_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    wall_seconds: float = 0.0
    """Of all attempts, from their start: loading, steps, evaluations and checkpoints."""
    tokens_per_second: float | None = None
    """Real tokens over seconds of steps."""
    flops_per_token: float | None = None
    matmul_flops: float | None = None
    """The device's matrix rate, measured on it before the run; all devices together."""
    model_flops_utilization: float | None = None
    final_loss: float | None = None
    best_evaluation_loss: float | None = None

    def add(self, step: Step, seconds: float) -> None:
        self.real_tokens += step.real_tokens
        self.padding_tokens += step.positions - step.real_tokens
        self.learned_tokens += step.learned_tokens
        self.step_seconds += seconds

    def utilization(self, tokens_per_second: float) -> float | None:
        """The share of the device's measured matrix rate that the model's own arithmetic is; None where unknown.

        Above 1 the rate was not the device's own: other work had a part of it while it was measured.
        """
        if self.flops_per_token is None or not self.matmul_flops:
            return None
        share = tokens_per_second * self.flops_per_token / self.matmul_flops
        return share if share <= 1 else None


class Memory(msgspec.Struct, kw_only=True):
    """`measured`: the high-water mark of what `what` names, on the fullest device; `estimated`: said before the run."""

    what: str
    measured_bytes: int
    estimated_bytes: int | None = None


class Energy(msgspec.Struct, kw_only=True):
    """From the start of the first attempt to the end of the last one; null with the reason where not readable."""

    joules: float | None
    what: str | None
    reason: str | None = None


class Record(msgspec.Struct, kw_only=True):
    """`settings`: by dotted name, {value, source}. Paths as they were on the machine that trained."""

    schema: int = SCHEMA
    name: str
    run: str
    fingerprint: str
    state: Literal["running", "interrupted", "finished"] = "running"
    exit_reason: str | None = None
    started_at: str
    ended_at: str | None = None
    attempts: list[Attempt]
    seed: int
    settings: dict[str, Any]
    base: dict[str, Any]
    data: dict[str, Any]
    adapter: dict[str, Any]
    device: dict[str, Any]
    versions: dict[str, str | None]
    estimate: dict[str, Any] | None
    planned_steps: int
    steps_per_epoch: int
    totals: Totals
    best: Evaluation | None = None
    memory: Memory | None = None
    energy: Energy | None = None
    evaluations: list[Evaluation] = []
    curve: list[Point] = []
    warnings: list[str] = []


def best(evaluations: Iterable[Evaluation]) -> Evaluation | None:
    """The lowest loss after at least one step; the first of equals. That at step 0 is the base's, for comparison."""
    taken = [evaluation for evaluation in evaluations if evaluation.step > 0]
    return min(taken, key=lambda evaluation: evaluation.loss, default=None)


def begin(loaded: Loaded, run: str, fingerprint: str, prepared: Prepared, fits: Fit, started_at: str) -> Record:
    """The record of a run that has not taken a step."""
    settings = loaded.settings
    base = Path(settings.base.model)
    return Record(
        name=settings.name,
        run=run,
        fingerprint=fingerprint,
        started_at=started_at,
        attempts=[],
        seed=settings.seed,
        settings=told(loaded)["settings"],
        base={"path": str(base), "config_sha256": sha256_of_file(base / "config.json")},
        data=prepared.facts,
        adapter={"rank": settings.lora.rank, "alpha": settings.lora.alpha, "targets": settings.lora.targets},
        device={},
        versions={},
        estimate=fits.estimate,
        planned_steps=planned_steps(prepared.plan.steps_per_epoch, settings.length.epochs, settings.length.max_steps),
        steps_per_epoch=prepared.plan.steps_per_epoch,
        totals=Totals(matmul_flops=fits.matmul_flops),
        warnings=list(prepared.warnings),
    )


def sum_up(
    record: Record,
    step: int,
    wall_seconds: float,
    memory: tuple[str, int],
    energy: Meter,
    before: tuple[Energy | None, Memory | None],
) -> None:
    """Bring the sums up to date. `wall_seconds` and `energy` are this attempt's; `before` is of the earlier ones."""
    attempt, totals = record.attempts[-1], record.totals
    attempt.last_step, attempt.wall_seconds = step, wall_seconds
    totals.steps, totals.wall_seconds = step, sum(each.wall_seconds for each in record.attempts)
    if totals.step_seconds:
        totals.tokens_per_second = totals.real_tokens / totals.step_seconds
        totals.model_flops_utilization = totals.utilization(totals.tokens_per_second)
    totals.final_loss = record.curve[-1].loss if record.curve else None
    record.best = best(record.evaluations)
    totals.best_evaluation_loss = record.best.loss if record.best else None
    energy_before, memory_before = before
    what, measured = memory
    estimated = (record.estimate or {}).get("peak_bytes")
    if memory_before is not None:
        measured = max(measured, memory_before.measured_bytes)
    record.memory = Memory(what=what, measured_bytes=measured, estimated_bytes=estimated)
    joules = energy.joules()
    if joules is None or (energy_before is not None and energy_before.joules is None):
        reason = energy.reason if joules is None else "an earlier attempt could not read it"
        record.energy = Energy(joules=None, what=energy.what, reason=reason)
    else:
        earlier = energy_before.joules or 0.0 if energy_before is not None else 0.0
        record.energy = Energy(joules=joules + earlier, what=energy.what)


def write_record(folder: Path, record: Record) -> None:
    """Replace `folder/run.json`: a reader sees the old one or the new one."""
    part = folder / f".{FILE}.part"
    with part.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / FILE)


def read_record(folder: Path) -> Record:
    """Raises OSError, or msgspec.DecodeError for a record of another form."""
    return msgspec.json.decode((folder / FILE).read_bytes(), type=Record)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
