"""The end of a run: the adapter that is handed on, the record, the picture, and a few sentences."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

from trainer.model.open import TrainableModel
from trainer.registry.durable import sha256_of_file, sync_folder
from trainer.train import checkpoint, runs
from trainer.train.progress import Reporter, duration
from trainer.train.record import Record, write_record
from trainer.train.state import load_factors


def finish(
    folder: Path, record: Record, model: TrainableModel, parameters: list[torch.nn.Parameter], report: Reporter
) -> None:
    """Put the best factors back (where rows were held out; else the last), save them, write the record and the plot.

    `folder/adapter` appears by rename when everything else is on the disk: a run is finished when it is there.
    """
    if record.best is not None and record.best.step != record.totals.steps:
        try:
            load_factors(checkpoint.read(checkpoint.at(folder / "checkpoints", record.best.step)).tensors, parameters)
        except checkpoint.CheckpointError as error:
            raise checkpoint.CheckpointError(
                f"the best factors of the run, those after step {record.best.step}, are lost: {error}. "
                "Train again with --fresh"
            ) from None
        record.adapter["step"] = record.best.step
    else:
        record.adapter["step"] = record.totals.steps
    unfinished = folder / ".adapter.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    model.save_adapter(unfinished)
    for file in sorted(unfinished.iterdir()):
        file.chmod(0o644)
        with file.open("rb") as written:
            os.fsync(written.fileno())
    sync_folder(unfinished)
    record.adapter["files"] = {file.name: sha256_of_file(file) for file in sorted(unfinished.iterdir())}
    record.state = "finished"
    write_record(folder, record)
    plotted = _plot(folder, record, report)
    unfinished.rename(folder / "adapter")
    sync_folder(folder)
    checkpoint.prune(folder / "checkpoints", keep=1 if record.best is None else 0, best=record.adapter["step"])
    for line in closing(record):
        report.note(line)
    report.note(f"{folder / 'adapter'}" + (f", {folder / 'loss.png'}" if plotted else ""))
    runs.name_to_parent(folder)
    report.event(
        "done", run=str(folder), adapter=str(folder / "adapter"), trained=True, exit_reason=record.exit_reason,
        steps=record.totals.steps, adapter_step=record.adapter["step"], final_loss=record.totals.final_loss,
        best_evaluation_loss=record.totals.best_evaluation_loss, real_tokens=record.totals.real_tokens,
        tokens_per_second=record.totals.tokens_per_second, seconds=record.totals.wall_seconds,
        model_flops_utilization=record.totals.model_flops_utilization,
        peak_bytes=record.memory.measured_bytes if record.memory else None,
    )  # fmt: skip


_WHY = {
    "epochs": "all passes are done",
    "max_steps": "length.max_steps is reached",
    "max_seconds": "length.max_seconds is reached",
    "patience": "the held-out loss got no better for evaluation.patience evaluations",
}


def closing(record: Record) -> list[str]:
    """What a person wants to know at the end."""
    totals = record.totals
    said = [f"ended after step {totals.steps} of {record.planned_steps}: {_WHY.get(str(record.exit_reason), '')}"]
    if record.curve:
        said.append(f"training loss {record.curve[0].loss:.4f} at first, {record.curve[-1].loss:.4f} at last")
    if record.best is not None:
        base = next((each.loss for each in record.evaluations if each.step == 0), None)
        before = f"{base:.4f} without the adapter, " if base is not None else ""
        said.append(f"held-out loss {before}{record.best.loss:.4f} at its best, after step {record.best.step}: kept")
        if base is not None and record.best.loss >= base:
            said.append("warning: the adapter is no better than the base on the held-out rows")
    if totals.tokens_per_second is not None:
        share = totals.model_flops_utilization
        used = f", {share:.0%} of the device's measured matrix rate" if share is not None else ""
        padding = totals.padding_tokens / max(1, totals.padding_tokens + totals.real_tokens)
        said.append(
            f"{totals.real_tokens:,} tokens at {totals.tokens_per_second:,.0f} a second{used} "
            f"({padding:.1%} more positions were padding); {duration(totals.wall_seconds)} in all"
        )
    if record.memory is not None:
        guess = record.memory.estimated_bytes
        beside = f" ({guess / 2**30:.2f} GiB estimated)" if guess else ""
        said.append(f"peak memory {record.memory.measured_bytes / 2**30:.2f} GiB {record.memory.what}{beside}")
    if record.energy is not None:
        joules, reason = record.energy.joules, record.energy.reason
        said.append(
            f"energy {joules / 3600:,.1f} Wh of {record.energy.what}" if joules is not None else f"energy: {reason}"
        )
    return said


def _plot(folder: Path, record: Record, report: Reporter) -> bool:
    try:
        from trainer.train.plot import plot

        plot(record, folder / "loss.png")
    except ImportError as error:
        report.note(f"no loss.png: {error}; install matplotlib for it")
        return False
    except Exception as error:  # whatever a picture runs into, the adapter is what was asked for
        report.note(f"warning: no loss.png: {type(error).__name__}: {error}")
        return False
    return True
