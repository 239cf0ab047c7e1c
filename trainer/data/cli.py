"""`crossover adapter check`. Imports lightly; the work runs in the training environment, where the tokenizer is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def check(
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="The training's settings (YAML).", show_default=False)
    ],
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    python: Annotated[
        Path | None,
        typer.Option("--python", metavar="PY", help="Python that has torch and transformers.", show_default=False),
    ] = None,
) -> None:
    """The data doctor: look at the rows before anything is learned from them. Errors end with 1, bad files with 2."""
    from gateway.policy.problem import SettingsError
    from trainer.environment import NoTrainingEnvironmentError, run_module, training_python
    from trainer.settings.load import load_settings

    try:
        load_settings(config)  # every mistake of the file is said before another Python starts
        arguments = ["--config", str(config), *(["--json"] if json else [])]
        status = run_module(training_python(python), "trainer.data", arguments)
    except (SettingsError, NoTrainingEnvironmentError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    if status:
        raise typer.Exit(status)
