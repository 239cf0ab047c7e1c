"""Memory and time of the run that a settings file describes: `python -m trainer.estimate --config FILE`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from gateway.policy.problem import SettingsError
from trainer.estimate.device import Device
from trainer.estimate.estimate import Estimate, Work, estimate
from trainer.model.errors import ModelError
from trainer.model.shape import ModelShape
from trainer.settings.load import load_settings

_GIB = 2**30


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m trainer.estimate", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the settings file")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    given = parser.parse_args()
    try:
        settings = load_settings(given.config).settings
        shape = ModelShape.read(Path(settings.base.model))
    except (SettingsError, ModelError) as problem:
        print(problem, file=sys.stderr)
        return 2
    import torch

    from trainer.data.doctor.report import DoctorError
    from trainer.data.problem import DataError
    from trainer.estimate.probe import probe
    from trainer.model.open import device_of, dtype_of
    from trainer.train.prepare import prepare
    from trainer.train.runs import RunError

    try:
        prepared = prepare(settings)
        device = device_of(settings)
    except (DataError, DoctorError, RunError, ModelError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 2
    if settings.device.threads is not None:
        torch.set_num_threads(settings.device.threads)
    facts = prepared.facts
    work = Work(facts["learned_rows"], facts["tokens"], facts["sequences"], facts["learned_tokens"])
    measured = probe(device, dtype_of(settings, device))
    guess = estimate(shape, settings, work, measured)
    if given.json:
        both = {"estimate": guess, "work": work, "device": measured}
        print(msgspec.json.encode(both).decode())
    else:
        print(described(guess, work, measured))
    return 0 if guess.fits else 1


def described(guess: Estimate, work: Work, device: Device) -> str:
    """Some lines for people."""
    parts = sorted(guess.parts.items(), key=lambda part: -part[1])
    lines = [
        f"{work.rows:,} rows, {work.tokens:,} tokens in {work.sequences:,} sequences",
        f"{device.name}: {device.matmul_flops / 1e12:.3g} TFLOP/s in a large product, measured now",
        ("fits: " if guess.fits else "does not fit: ") + guess.why,
        *(f"  {size / _GIB:8.2f} GiB  {name}" for name, size in parts if size),
        f"about {guess.step_seconds:.2f} s a step, {guess.tokens_per_second:,.0f} real tokens/s, "
        f"{_duration(guess.run_seconds)} for the run ({guess.engine} engine)",
    ]
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    sys.exit(main())
