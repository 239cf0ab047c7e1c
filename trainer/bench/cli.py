"""`crossover bench training`: runs `trainer.bench` in the environment that has torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def training(
    case: Annotated[
        list[str] | None,
        typer.Option(
            help="VARIANT[,sequences=4][,tokens=2048][,documents=1][,rank=16][,checkpointing=on]; again for more."
        ),
    ] = None,
    model_config: Annotated[
        Path | None, typer.Option(help="A config.json whose shape is used. [default: Llama 3.1 8B's]")
    ] = None,
    layers: Annotated[int, typer.Option(help="Blocks of the model; 0: as the shape says.", min=0)] = 0,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    steps: Annotated[int, typer.Option(help="Steps that are timed.", min=1)] = 10,
    warmup: Annotated[int, typer.Option(help="Steps before them.", min=1)] = 4,
    seed: Annotated[int, typer.Option(help="Of weights and tokens.", min=0)] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin with a fresh adapter, whose B's are zero.")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Also where a step's time goes.")] = False,
    json: Annotated[Path | None, typer.Option(help="File for everything measured.", show_default=False)] = None,
    python: Annotated[Path | None, typer.Option(help="The Python that has torch.", show_default=False)] = None,
) -> None:
    """Measure training on this machine: real tokens a second, utilization, memory, and whether the losses are right.

    Random weights in the shape of Llama 3.1 8B, unless told otherwise. A variant whose losses depart from plain
    transformers with peft is marked WRONG and has no speed. Exits 1 if one does, or fails.
    """
    from trainer.environment import NoTrainingEnvironmentError, run_module, training_python

    arguments = [part for text in case or [] for part in ("--case", text)]
    arguments += ["--device", device, "--steps", str(steps), "--warmup", str(warmup), "--seed", str(seed)]
    arguments += ["--layers", str(layers)]
    for name, path in (("--config", model_config), ("--json", json)):
        arguments += [] if path is None else [name, str(path)]
    arguments += [name for name, wanted in (("--fresh", fresh), ("--profile", profile)) if wanted]
    try:
        chosen = training_python(python)
    except NoTrainingEnvironmentError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    status = run_module(chosen, "trainer.bench", arguments)
    if status:
        raise typer.Exit(status)
