"""`python -m trainer.data --config FILE [--json]`: the doctor, in the training environment, where the tokenizer is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec
from rich.console import Console

from gateway.policy.problem import SettingsError
from trainer.data.gather import gather
from trainer.data.problem import DataError
from trainer.data.rendering import load_renderer


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0, 1 where the doctor found errors, 2 where a file cannot be used."""
    from trainer.data.doctor.shown import shown
    from trainer.settings.load import load_settings

    parser = argparse.ArgumentParser(prog="python -m trainer.data", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="settings file of the training")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    given = parser.parse_args(arguments)
    waiting = Console(stderr=True)
    try:
        settings = load_settings(given.config).settings
        with waiting.status("reading the tokenizer") as status:
            renderer = load_renderer(Path(settings.base.model))
            report = gather(settings, renderer, lambda doing: status.update(doing)).examine(settings, renderer)
    except (SettingsError, DataError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    if given.json:
        print(msgspec.json.encode(report).decode())
    else:
        Console(soft_wrap=not sys.stdout.isatty()).print(shown(report, settings.data.train))
    return 1 if report.errors else 0


if __name__ == "__main__":
    sys.exit(main())
