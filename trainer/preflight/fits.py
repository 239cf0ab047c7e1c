"""Does it fit? The estimate of memory and of a step's time, on the device as it is now, measured in a second.

Of one step of full sequences: the length of a run depends on the rows, which `crossover adapter estimate` reads.
"""

from __future__ import annotations

import importlib
import subprocess
import time
from typing import Any

import msgspec

from trainer.environment import environment, module_command
from trainer.estimate.device import Device
from trainer.model.errors import ShapeError
from trainer.model.shape import ModelShape
from trainer.preflight.question import Question
from trainer.preflight.rung import FITS, Rung, Wall
from trainer.preflight.stack import Stack

_LIMIT_SECONDS = 120.0
_GIB = 2**30


def fits_rung(stack: Stack, question: Question) -> Rung:
    """The rung. Its wall: what the run would take, and what is free."""
    started = time.monotonic()
    try:
        shape = ModelShape.read(question.model)
    except ShapeError as problem:
        return Rung(FITS, "not asked", f"memory is estimated for the Llama family only: {problem}")
    try:
        estimates = importlib.import_module("trainer.estimate.estimate")
    except ModuleNotFoundError:
        return Rung(FITS, "not asked", "this version has no estimate")
    device, problem_said = _measure(stack, question)
    if device is None:
        return Rung(FITS, "not asked", f"the device could not be measured: {problem_said}", time.monotonic() - started)
    settings = question.typed
    sequences = settings.batch.sequences_per_step
    work = estimates.Work(rows=sequences, tokens=sequences * settings.sequence.max_tokens, sequences=sequences)
    guess: Any = estimates.estimate(shape, settings, work, device)
    seconds = time.monotonic() - started
    peak, free = guess.peak_bytes / _GIB, device.free_bytes / _GIB
    said = f"{peak:.2f} GiB of {free:.2f} GiB free on {device.name}; a step of {sequences} full sequences: "
    said += f"{guess.step_seconds:.1f} s"
    if guess.fits:
        return Rung(FITS, "passed", said, seconds)
    mend = f"lower sequence.max_tokens ({settings.sequence.max_tokens}), or free the device's memory"
    wall = Wall("does not fit", (), "The run would not fit in memory.", guess.why, mend)
    return Rung(FITS, "failed", said, seconds, (wall,))


def _measure(stack: Stack, question: Question) -> tuple[Device | None, str]:
    chosen = question.typed.device
    arguments = ["--device", chosen.kind, "--dtype", chosen.dtype]
    if chosen.threads:
        arguments += ["--threads", str(chosen.threads)]
    try:
        ran = subprocess.run(  # noqa: S603
            module_command(stack.python, "trainer.estimate.probe", arguments),
            env=environment(), capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False,
        )  # fmt: skip
        if ran.returncode:
            return None, next((line for line in reversed(ran.stderr.splitlines()) if line.strip()), "it ended")[:300]
        return msgspec.json.decode(ran.stdout.strip().splitlines()[-1], type=Device), ""
    except (subprocess.TimeoutExpired, OSError, msgspec.DecodeError, IndexError) as problem:
        return None, str(problem)[:300]
