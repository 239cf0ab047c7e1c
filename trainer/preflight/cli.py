"""`crossover doctor --training`: can this model be trained, served and exported with what is installed?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    training: Annotated[
        bool, typer.Option("--training", help="Look at the training stack; so far there is nothing else to look at.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A training settings file: its base model, adapter and device.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A model's folder, or a config.json, with default settings.")
    ] = None,
    python: Annotated[
        Path | None, typer.Option(metavar="PY", help="The Python to train with. Else as for `adapter train`.")
    ] = None,
    vllm_python: Annotated[
        Path | None, typer.Option(metavar="PY", help="vLLM's Python. Else the one to train with, or the demo's.")
    ] = None,
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="REQUIREMENT", help="Could this be installed beside it? May be repeated."),
    ] = None,
    load: Annotated[
        bool, typer.Option("--load/--no-load", help="Let vLLM load the tiny model and its adapter, in seconds.")
    ] = True,
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require", metavar="VERDICT", help="servable or exportable: fail without it, as without trainable."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Climb a ladder of small real tries, and say: servable, trainable, exportable. Nothing is installed or fetched.

    Exits 1 unless the model is trainable, and whatever --require and --with ask for holds; 2 for a question that cannot
    be read.
    """
    import msgspec
    from rich.console import Console

    from trainer.environment import NoTrainingEnvironmentError, home, root, training_python
    from trainer.preflight.fits import fits_rung
    from trainer.preflight.ladder import Asked, AskedWronglyError, Watcher, climb
    from trainer.preflight.question import read_question
    from trainer.preflight.servable import find_vllm
    from trainer.preflight.shown import Shown
    from trainer.preflight.stack import Stack, StackError

    if not training:
        raise typer.BadParameter("say what to look at: --training")
    if (config is None) == (model is None):
        raise typer.BadParameter("give either --config FILE or --model DIR")
    if odd := set(require or ()) - {"servable", "trainable", "exportable"}:
        raise typer.BadParameter(f"--require takes servable, trainable or exportable, not {', '.join(sorted(odd))}")
    shown = Shown(Console())
    watcher: Watcher = Watcher() if as_json else shown
    try:
        question = read_question(config, model)
        stack = Stack(training_python(python))
        asked = Asked(
            question.model, stack, find_vllm(vllm_python, stack, home()), question.settings, root(),
            wanted=tuple(with_ or ()), load=load, required=tuple(dict.fromkeys(["trainable", *(require or ())])),
        )  # fmt: skip
        report = climb(asked, watcher, fits=lambda: fits_rung(stack, question))
    except (AskedWronglyError, NoTrainingEnvironmentError, StackError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(msgspec.json.encode(report))
    else:
        shown.verdicts(report)
    if not report.good:
        raise typer.Exit(1)
