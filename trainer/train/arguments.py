"""The arguments of `python -m trainer.train`, which `crossover adapter train` hands on."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from trainer.train.runs import Wish

OVERRIDES: Mapping[str, tuple[str, type, str]] = {
    "--epochs": ("length.epochs", float, "passes over the rows"),
    "--max-steps": ("length.max_steps", int, "optimizer steps at most"),
    "--max-seconds": ("length.max_seconds", float, "seconds of steps at most"),
    "--seed": ("seed", int, "of first weights and the order of the data"),
    "--device": ("device.kind", str, "auto, cuda or cpu"),
    "--threads": ("device.threads", int, "CPU threads"),
}
"""Flags that win over the settings file: the setting, its type, what it is."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", required=True, help="the settings file (YAML)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--resume", action="store_true", help="go on with an unfinished run, or fail")
    which.add_argument("--fresh", action="store_true", help="start anew, whatever there is")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on standard output")
    for flag, (name, kind, text) in OVERRIDES.items():
        parser.add_argument(flag, type=kind, help=f"{text}; left out: {name} of the file")


def overrides(given: argparse.Namespace) -> dict[str, Any]:
    """The settings that the command line gives, by dotted name."""
    flags = {flag: getattr(given, flag.removeprefix("--").replace("-", "_")) for flag in OVERRIDES}
    return {OVERRIDES[flag][0]: value for flag, value in flags.items() if value is not None}


def wish(given: argparse.Namespace) -> Wish:
    return "resume" if given.resume else "fresh" if given.fresh else "auto"
