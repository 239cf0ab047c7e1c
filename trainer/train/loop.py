"""One training run, from settings to an adapter on disk. It reads from top to bottom.

The loss of a step is exact: the sum of cross entropy over all its batches and processes, divided by the learned tokens
of all of them. Everything that a later step depends on is in the checkpoint, so on a CPU a run that was killed and
taken up again has, bit for bit, the losses and the weights of one that was not.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import msgspec
import torch
from transformers.utils.logging import disable_progress_bar

from trainer.data.batches import Batch
from trainer.model.open import dtype_of, open_model
from trainer.settings.load import Loaded
from trainer.settings.provenance import lines, told
from trainer.train import checkpoint, evaluation, runs
from trainer.train.device import choose_device, describe, meter, peak_memory, seed, versions
from trainer.train.distributed import Group, agree, join
from trainer.train.finish import finish
from trainer.train.fit import fit
from trainer.train.interrupt import Interrupt
from trainer.train.prepare import prepare
from trainer.train.progress import Reporter
from trainer.train.record import Attempt, Evaluation, Point, Record, begin, best, now, sum_up, write_record
from trainer.train.resume import surroundings_changed, take_up
from trainer.train.schedule import learning_rate
from trainer.train.state import generators, load_state, restore_generators, save_state
from trainer.train.step import take_step

FINISHED = 0
ENDS = ("epochs", "max_steps", "max_seconds", "patience")
"""The reasons for which a run is finished. Any other, such as a signal, only stopped one of its attempts."""


class DivergedError(ArithmeticError):
    """The loss or its gradient is no number any more."""


def train(loaded: Loaded, wish: runs.Wish, report: Reporter, group: Group) -> int:
    """Train, or go on training. Returns the exit status: 0, or 128 + the number of the signal that stopped it.

    Raises RunError, DataError, DoctorError, FitError, ModelError or OSError: all that the settings and the rows show,
    before any weight loads. Raises DivergedError when the loss is no number any more, and CheckpointError where
    a checkpoint cannot be gone on with.
    """
    started, started_at = time.monotonic(), now()
    settings = loaded.settings
    report.event("settings", lines=list(lines(settings, loaded.provenance)), **told(loaded))
    device = choose_device(settings, group)
    join(group, device)
    energy = meter(device)

    # --- which run this is: a new one, or one that was stopped -------------------------------------------------------
    identity = runs.identity(settings)
    choice = agree(group, runs.choose(settings, identity, wish))
    folder, checkpoints = choice.folder, choice.folder / "checkpoints"
    for note in choice.notes:
        report.note(note)
    if choice.state == "finished":
        return _already_finished(folder, report, group)

    # --- the rows, what the doctor says of them, and whether it fits -------------------------------------------------
    prepared = prepare(settings)
    for warning in prepared.warnings:
        report.note(f"warning: {warning}")
    fits = agree(group, fit(settings, prepared, device, group))
    report.note(fits.said)

    # --- what an earlier process left --------------------------------------------------------------------------------
    if group.first:
        runs.lock(folder)
        runs.start(folder, identity, wish)
    if agree(group, runs.finished(folder)):  # by another process, while this one looked at the rows
        return _already_finished(folder, report, group)
    last = agree(group, checkpoint.newest(checkpoints, report.note) if group.first else None)
    described = describe(device, group, dtype_of(settings, device))
    if last is None:
        record = begin(loaded, folder.name, runs.fingerprint(identity), prepared, fits, started_at)
        record.device, record.versions = described, versions()
    else:
        record = take_up(last, prepared)
        if changed := surroundings_changed(record, described, versions()):
            record.warnings.append(changed)
            report.note(f"warning: {changed}")
        fits = fits.as_before(last.facts, settings, report)
    step, steps = record.totals.steps, record.planned_steps
    prepared = prepared.in_batches_of(fits.sequences_at_once)
    plan = prepared.plan
    held_out = [] if prepared.held_out is None else prepared.held_out.in_order(group.rank, group.size)
    evaluate_every = evaluation.interval(steps, settings.evaluation.every_steps)

    # --- the model and its optimizer ---------------------------------------------------------------------------------
    seed(settings.seed)
    disable_progress_bar()  # transformers' own: this run has one
    model = open_model(settings, device, checkpointing=fits.checkpointing)
    parameters = model.trainable()
    optimizer = torch.optim.AdamW(
        parameters,
        lr=0.0,  # set before each step
        betas=(settings.optimizer.beta1, settings.optimizer.beta2),
        weight_decay=settings.optimizer.weight_decay,
        fused=device.type == "cuda",
    )
    if last is not None:
        load_state(last.tensors, parameters, optimizer, device)
        restore_generators(last.facts["generators"])
        report.note(f"going on with {folder} after step {step} of {steps}")
    record.adapter["parameters"] = sum(parameter.numel() for parameter in parameters)
    record.totals.flops_per_token = model.flops_per_token(prepared.mean_context, prepared.learned_share)
    attempt = Attempt(started_at=started_at, first_step=step + 1, last_step=step)
    record.attempts.append(attempt)
    before = (record.energy, record.memory)  # of earlier attempts
    report.event(
        "start", run=str(folder), resumed=last is not None, step=step, steps=steps,
        parameters=record.adapter["parameters"], rows=prepared.facts["learned_rows"],
        held_out_rows=prepared.facts["held_out_rows"], sequences_at_once=fits.sequences_at_once,
        checkpointing=fits.checkpointing,
    )  # fmt: skip

    def save() -> None:
        sum_up(record, step, time.monotonic() - started, peak_memory(device), energy, before)
        if not group.first:
            return
        facts = {"record": msgspec.to_builtins(record), "generators": generators(), **fits.facts()}
        checkpoint.write(checkpoints, step, facts, lambda path: save_state(path, parameters, optimizer, device))
        write_record(folder, record)
        checkpoint.prune(checkpoints, keep=settings.checkpoint.keep, best=record.best.step if record.best else None)
        report.event("checkpoint", step=step)

    def evaluate() -> bool:
        """True when there was never a better loss."""
        began = time.monotonic()
        loss, learned = evaluation.mean_loss(model, held_out, device, group)
        if not math.isfinite(loss):
            raise DivergedError(
                f"the held-out loss after step {step} is {loss}. Lower optimizer.learning_rate "
                f"({settings.optimizer.learning_rate:g}), or look at the held-out rows"
            )
        taken = Evaluation(step, loss, learned, time.monotonic() - began)
        record.evaluations.append(taken)
        record.totals.evaluation_seconds += taken.seconds
        is_best = best(record.evaluations) == taken
        report.event("evaluation", **msgspec.structs.asdict(taken), best=is_best)
        return is_best

    # --- the steps ---------------------------------------------------------------------------------------------------
    # A run that had ended, and was killed before it handed its adapter on, has ended.
    reason = record.exit_reason if record.exit_reason in ENDS else None
    record.state, record.exit_reason, record.ended_at, signal_number = "running", None, None, 0
    epoch, batches = -1, iter(list[list[Batch]]())
    with Interrupt() as interrupt:
        while True:
            if step == steps and reason is None:
                reason = "max_steps" if steps == settings.length.max_steps else "epochs"
            due = reason is not None or step % evaluate_every == 0
            done = bool(record.evaluations) and record.evaluations[-1].step == step
            worth_saving = step % settings.checkpoint.every_steps == 0 and step > attempt.last_step
            if prepared.held_out is not None and due and not done and not signal_number:
                worth_saving |= evaluate()
                if reason is None and evaluation.out_of_patience(record.evaluations, settings.evaluation.patience):
                    reason = "patience"
            if reason is not None:
                break
            if worth_saving:
                save()

            began = time.monotonic()
            if epoch != step // plan.steps_per_epoch:
                epoch = step // plan.steps_per_epoch
                batches = plan.batches(epoch, step % plan.steps_per_epoch, group.rank, group.size)
            rate = learning_rate(
                step + 1, steps, peak=settings.optimizer.learning_rate,
                warmup_share=settings.optimizer.warmup_share, decay=settings.optimizer.schedule,
            )  # fmt: skip
            for parameter_group in optimizer.param_groups:
                parameter_group["lr"] = rate
            taken = take_step(
                model, optimizer, next(batches), max_gradient_norm=settings.optimizer.max_gradient_norm,
                device=device, group=group, heard=interrupt.number, seconds_before=record.totals.step_seconds,
            )  # fmt: skip
            if not math.isfinite(taken.loss) or not math.isfinite(taken.gradient_norm):
                raise DivergedError(
                    f"step {step + 1}: the loss is {taken.loss} and the gradient's norm {taken.gradient_norm}, so the "
                    f"step was not taken. Lower optimizer.learning_rate ({settings.optimizer.learning_rate:g}), or "
                    f"look at the rows; the last checkpoint in {checkpoints} is from before"
                )
            step, seconds = step + 1, time.monotonic() - began
            record.totals.add(taken, seconds)
            point = Point(
                step, taken.loss, rate, taken.gradient_norm, record.totals.real_tokens, record.totals.step_seconds
            )
            record.curve.append(point)
            report.event("step", **_told(point, taken.real_tokens, seconds, record, settings.length.max_seconds))

            if taken.interrupted:
                signal_number, reason = taken.interrupted, "SIGINT" if taken.interrupted == 2 else "SIGTERM"
            elif settings.length.max_seconds is not None and taken.clock >= settings.length.max_seconds:
                reason = "max_seconds"

    # --- the end -----------------------------------------------------------------------------------------------------
    attempt.end = record.exit_reason = reason
    record.ended_at = now()
    if signal_number:
        record.state = "interrupted"
        save()
        command = "the same command without --fresh" if wish == "fresh" else "the same command"
        report.note(f"stopped by {reason} after step {step} of {steps}; {command} goes on from there")
        report.event("stopped", run=str(folder), step=step, steps=steps, signal=reason)
        return 128 + signal_number
    save()
    if group.first:
        finish(folder, record, model, parameters, report)
    return FINISHED


def _already_finished(folder: Path, report: Reporter, group: Group) -> int:
    report.note(f"{folder} is finished, with these settings and this data; --fresh trains anew")
    if group.first:
        runs.name_to_parent(folder)
    report.event("done", run=str(folder), adapter=str(folder / "adapter"), trained=False)
    return FINISHED


def _told(
    point: Point, real_tokens: int, seconds: float, record: Record, max_seconds: float | None
) -> dict[str, object]:
    """What is said of a step: its point on the curve, its speed, and the time that the remaining steps will take."""
    recent = record.curve[-20:]
    first = recent[0]
    pace = (point.seconds - first.seconds) / (len(recent) - 1) if len(recent) > 1 else seconds
    left = pace * (record.planned_steps - point.step)
    if max_seconds is not None:
        left = min(left, max(0.0, max_seconds - point.seconds))
    speed = real_tokens / seconds
    return {
        **msgspec.structs.asdict(point),
        "steps": record.planned_steps,
        "tokens_per_second": speed,
        "model_flops_utilization": record.totals.utilization(speed),
        "seconds_left": left,
    }
