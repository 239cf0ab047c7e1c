"""`crossover adapter estimate`: memory and time of a run, before it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def estimate(
    config: Annotated[Path, typer.Option("--config", help="The settings file (YAML).", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    python: Annotated[
        Path | None, typer.Option("--python", help="The Python that has torch.", show_default=False)
    ] = None,
) -> None:
    """Predict a run's peak memory and its time, from the model, the data and this device, measured in a second.

    Exits 1 if it cannot fit, with what would; 2 where the settings or the data are wrong.
    """
    from trainer.environment import NoTrainingEnvironmentError, run_module, training_python

    try:
        chosen = training_python(python)
    except NoTrainingEnvironmentError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    status = run_module(chosen, "trainer.estimate", ["--config", str(config), *(["--json"] if as_json else [])])
    if status:
        raise typer.Exit(status)
