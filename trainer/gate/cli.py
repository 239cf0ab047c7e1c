"""`crossover adapter gate`: does the tuning earn its place? Imports lightly; the work is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from trainer.gate.judging import Gated

COLUMNS = 120
NO_VERDICT = 2


def gate(
    config: Annotated[Path, typer.Option("--config", help="The gate's settings (YAML).", show_default=False)],
    version: Annotated[
        str | None,
        typer.Option(
            "--version",
            metavar="NAME@vNNNN",
            show_default=False,
            help="The version that is judged: the candidate must be it, and its history is told the verdict.",
        ),
    ] = None,
    training: Annotated[
        Path | None,
        typer.Option(
            "--training",
            metavar="FILE",
            show_default=False,
            help="Training settings: where the registry is, and where to load the version before it is asked "
            "(`publish`, `gate.alias`). Left out: it is served already.",
        ),
    ] = None,
    registry: Annotated[
        Path, typer.Option("--registry", metavar="DIR", help="Folder of finished versions, without --training.")
    ] = Path("adapters"),
    holdout: Annotated[
        bool, typer.Option("--holdout", help="On the sealed questions: once, before a promotion.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="A new run beside the one there is. The report counts both.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the record (verdict.json) on standard output.")] = False,
) -> None:
    """Judge a model by frozen questions: accepted answers of the base with retrieval and of the tuned model, by two
    judges, with the statistics that the number of questions deserves.

    The plan is registered before the first request; the same command goes on with a run that was stopped. Exits 0 for
    pass, 1 for fail, 3 for undecided, and 2 where there is no verdict (wrong settings, a judge that fails its canaries,
    a model that does not answer).
    """
    import msgspec

    from gateway.policy.problem import SettingsError
    from trainer.data.problem import DataError
    from trainer.gate.errors import GateError
    from trainer.publish.errors import PublishError
    from trainer.registry import RegistryError

    console = _console()
    try:
        gated = _gated(config, version, training, registry, holdout, again, console)
    except KeyboardInterrupt:
        _stop("stopped: what was answered is kept, and the same command goes on", 130)
    except (SettingsError, DataError, GateError, PublishError, RegistryError, OSError) as error:
        _stop(str(error), NO_VERDICT)
    if json:
        typer.echo(msgspec.json.encode(gated.finished.record))
    else:
        _show(gated)
    if gated.status:
        raise typer.Exit(gated.status)


def _gated(
    config: Path, version: str | None, training: Path | None, registry: Path, holdout: bool, again: bool,
    console: Console,
) -> Gated:  # fmt: skip
    from trainer.gate.errors import GateError
    from trainer.gate.judging import for_version, gate_served, gate_version
    from trainer.gate.load import load_gate
    from trainer.registry import Registry
    from trainer.settings.load import load_settings

    if training is not None:
        if version is None:
            raise GateError("--training says where to bring a version: give --version too")
        settings = load_settings(training, require_files=False).settings
        return gate_version(
            settings, version, holdout=holdout, again=again, config=config, console=console, say=_say
        )  # fmt: skip
    loaded = load_gate(config).settings
    if version is None:
        return gate_served(loaded, None, None, holdout=holdout, again=again, console=console)
    kept = Registry(registry)
    named = kept.get(version).id
    return gate_served(for_version(loaded, named), named, kept, holdout=holdout, again=again, console=console)


def _show(gated: Gated) -> None:
    """On standard output: the verdict, and the tables without plan and answers, which the report holds."""
    from dataclasses import replace

    from rich.console import Console

    from gateway.statement.formats import WIDEST, show
    from trainer.gate.report.document import document

    made = document(gated.finished.view)
    kept = [section for section in made.sections if section.name not in ("answers", "plan", "groups")]
    terminal = Console(highlight=False)
    columns = min(terminal.width, COLUMNS) if terminal.is_terminal else COLUMNS
    show(replace(made, sections=kept), Console(highlight=False, width=WIDEST), columns)
    typer.echo(f"\n{gated.finished.folder / 'report.html'}")


def _console() -> Console:
    from rich.console import Console

    console = Console(stderr=True)
    return console if console.is_terminal else Console(stderr=True, width=COLUMNS)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _stop(message: str, status: int) -> None:
    typer.echo(f"crossover adapter gate: {message}", err=True)
    raise typer.Exit(status)
