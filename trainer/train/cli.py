"""`crossover adapter train`: looks at the settings, then trains in the environment that has torch."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from trainer.settings.schema import TrainSettings

Given: TypeAlias = Mapping[str, float | str | None]
"""What the command line gives, by the name of its flag (`max_steps`); None: nothing."""


def train(
    config: Annotated[Path, typer.Option("--config", help="The settings file (YAML).", show_default=False)],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run, or fail.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew, whatever there is.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")] = False,
    python: Annotated[
        Path | None, typer.Option("--python", help="The Python that has torch.", show_default=False)
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the rows.", min=0)] = None,
    max_steps: Annotated[int | None, typer.Option(help="Optimizer steps at most.", min=1)] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Seconds of steps at most.", min=0)] = None,
    seed: Annotated[int | None, typer.Option(help="Of first weights and the order of the data.", min=0)] = None,
    device: Annotated[str | None, typer.Option(help="auto, cuda or cpu.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.", min=1)] = None,
    preflight: Annotated[
        bool,
        typer.Option("--preflight/--no-preflight", help="First let a tiny model of its kind take a step, once."),
    ] = True,
    keep: Annotated[
        bool, typer.Option("--keep/--no-keep", help="Make the finished adapter a version of the registry.")
    ] = True,
) -> None:
    """Train a LoRA adapter. The same command goes on with a run that was stopped.

    Exits 2 where the settings or the data are wrong, 130 or 143 when interrupted, with a checkpoint.
    """
    given: Given = {
        "epochs": epochs, "max_steps": max_steps, "max_seconds": max_seconds, "seed": seed, "device": device,
        "threads": threads,
    }  # fmt: skip
    status, folder = run_training(
        config, given, resume=resume, fresh=fresh, as_json=as_json, python=python, preflight=preflight
    )
    if status == 0 and folder is not None and keep:
        status = keep_version(Path(_load(config, _flags(given)).registry), folder, as_json=as_json)
    if status:
        raise typer.Exit(status)


def run_training(
    config: Path,
    given: Given | None = None,
    *,
    resume: bool = False,
    fresh: bool = False,
    as_json: bool = False,
    python: Path | None = None,
    preflight: bool = True,
    all_to_stderr: bool = False,
) -> tuple[int, Path | None]:
    """Check the settings here, at once, then the stack, then run `trainer.train`.

    Gives back its exit status and the run's folder, None where none was begun.

    given: what wins over the file, by the name of its flag (`max_steps`).
    """
    from gateway.policy.problem import SettingsError
    from trainer.environment import NoTrainingEnvironmentError, run_module, training_python

    if resume and fresh:
        typer.echo("--resume goes on and --fresh starts anew: give one of them", err=True)
        return 2, None
    flags = _flags(given or {})
    try:
        settings = _load(config, flags)
        chosen = training_python(python)
    except SettingsError as error:
        count = len(error.problems)
        typer.echo(f"{error}\n{count} error{'s' if count > 1 else ''}", err=True)
        return 2, None
    except NoTrainingEnvironmentError as error:
        typer.echo(str(error), err=True)
        return 2, None
    if preflight and not _stack_holds(settings, chosen):
        return 1, None
    arguments = ["--config", str(config)]
    arguments += [name for name, wanted in (("--resume", resume), ("--fresh", fresh), ("--json", as_json)) if wanted]
    arguments += [part for flag, value in flags.items() for part in (flag, str(value))]
    with tempfile.TemporaryDirectory(prefix="crossover-run-") as told:
        run_file = (
            Path(told) / "folder"
        )  # the settings and the data may change while it trains: it says which run it was
        status = run_module(
            chosen, "trainer.train", arguments, all_to_stderr=all_to_stderr, more={"CROSSOVER_RUN_FILE": str(run_file)}
        )
        folder = Path(run_file.read_text().strip()) if run_file.exists() else None
    return status, folder


def _stack_holds(settings: TrainSettings, python: Path) -> bool:
    """The preflight's training rungs, climbed once for a stack and a model; what stands in the way is printed."""
    from rich.console import Console

    from trainer.environment import home, root
    from trainer.preflight.child import TOO_SLOW
    from trainer.preflight.ladder import AskedWronglyError
    from trainer.preflight.quick import quick
    from trainer.preflight.shown import Shown
    from trainer.preflight.stack import StackError

    shown = Shown(Console(stderr=True))
    try:
        report = quick(
            Path(settings.base.model), settings.model_dump(mode="json"), python, home() / "preflight", root(), shown
        )
    except (AskedWronglyError, StackError) as error:
        typer.echo(str(error), err=True)
        return False
    if report.walls and all(TOO_SLOW in wall.line for wall in report.walls):
        typer.echo("the machine is too busy for the preflight to tell: training goes on without it", err=True)
        return True
    if not report.good:
        shown.verdicts(report)
        typer.echo("nothing was trained; --no-preflight goes on in spite of this", err=True)
    return report.good


def keep_version(registry: Path, folder: Path, *, as_json: bool = False) -> int:
    """The finished run in `folder` becomes a version of the registry, once; returns the exit status."""
    import json

    from trainer.registry import Registry, RegistryError
    from trainer.registry.taking_in import take_in
    from trainer.train.finished import UnfinishedRunError, finished_run

    try:
        version = take_in(Registry(registry), finished_run(folder))
    except (UnfinishedRunError, RegistryError, OSError) as error:
        typer.echo(f"the adapter was trained and is not in the registry: {error}", err=True)
        return 1
    if as_json:
        event = {"event": "kept", "version": version.id, "folder": str(version.folder), "run": str(folder)}
        typer.echo(json.dumps(event))
    else:
        typer.echo(f"{version.id} is in {registry}")
    return 0


def _flags(given: Given) -> dict[str, float | str]:
    """What was given on the command line, by its flag."""
    return {f"--{name.replace('_', '-')}": value for name, value in given.items() if value is not None}


def _load(config: Path, flags: Mapping[str, float | str]) -> TrainSettings:
    from trainer.settings.load import load_settings
    from trainer.train.arguments import OVERRIDES

    return load_settings(config, {OVERRIDES[flag][0]: value for flag, value in flags.items()}).settings
