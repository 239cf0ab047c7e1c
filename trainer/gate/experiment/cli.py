"""`crossover adapter experiment`: the lab's experiment, on this machine, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def experiment(
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Keep the account and the reports here too.", show_default=False),
    ] = None,
    questions: Annotated[
        int | None, typer.Option(help="So many questions of each set at most. Default: all.", min=2, show_default=False)
    ] = None,
    max_steps: Annotated[
        int | None,
        typer.Option(help="Optimizer steps at most. Default: as the recipe says.", min=1, show_default=False),
    ] = None,
    embedder: Annotated[
        Literal["minilm", "none"],
        typer.Option(help="minilm: by meaning and words (84 MB are fetched once). none: by words alone."),
    ] = "minilm",
    cloud: Annotated[
        bool, typer.Option("--cloud/--no-cloud", help="Also the base model on Bedrock's stand-in (simulated).")
    ] = True,
    easy: Annotated[
        bool, typer.Option("--easy/--no-easy", help="Also a set that is so easy that the kill criterion must fire.")
    ] = True,
    worse: Annotated[
        bool, typer.Option("--worse/--no-worse", help="Also an adapter that learned wrong answers: to be refused.")
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="End with one line of JSON on standard output.")] = False,
    home: Annotated[
        Path,
        typer.Option(
            envvar="CROSSOVER_HOME", help="Folder for all that is installed and made, relative to the working folder."
        ),
    ] = Path(".crossover"),
) -> None:
    """Does the tuning earn its place? Control (base and retrieval), train, serve, gate, publish or refuse, report.

    Exits 0 where the tuned model passed and was published, the kill criterion fired on the easy questions, and the
    worse adapter was refused; 1 where one of these is otherwise, or a step failed; 130 when interrupted.
    """
    import os

    import msgspec
    from rich.console import Console
    from rich.markdown import Markdown

    from gateway.demo.children import PartFailedError
    from gateway.policy.problem import SettingsError
    from gateway.sandbox.home import HomeError, require_home
    from gateway.sandbox.vllm.environment import EnvironmentFailedError
    from gateway.sandbox.vllm.prepare import PreparationFailedError
    from gateway.sandbox.vllm.server import VllmFailedError
    from trainer.gate.errors import GateError
    from trainer.gate.experiment.keeping import account, require_folder
    from trainer.gate.experiment.keeping import keep as keep_account
    from trainer.gate.experiment.run import experiment as run
    from trainer.gate.experiment.settings import ExperimentError, Settings, new_work
    from trainer.publish.errors import PublishError
    from trainer.registry import RegistryError
    from trainer.retrieval.embedder import EmbedderError
    from trainer.retrieval.store import StoreError

    console = Console(stderr=True)
    if not console.is_terminal:
        console = Console(stderr=True, width=120)
    try:
        home = require_home(home.absolute())
        os.environ["CROSSOVER_HOME"] = str(home)  # where MiniLM's weights are kept, too
        if keep is not None:
            require_folder(keep)  # before half an hour of work, not after it
        work = new_work(home)
        settings = Settings(
            home, work, questions=questions, embedder=embedder, cloud=cloud, easy=easy, worse=worse, max_steps=max_steps
        )
        found = run(settings, console)
        keep_account(found, work / "account")
        if keep is not None:
            keep_account(found, keep)
    except KeyboardInterrupt:
        console.print("\nstopped: every part has ended")
        raise typer.Exit(130) from None
    except (
        ExperimentError, GateError, PublishError, RegistryError, SettingsError, PartFailedError, HomeError,
        EnvironmentFailedError, PreparationFailedError, VllmFailedError, EmbedderError, StoreError, ValueError, OSError,
    ) as error:  # fmt: skip
        typer.echo(f"crossover adapter experiment: {error}", err=True)
        raise typer.Exit(1) from None
    if json:
        typer.echo(msgspec.json.encode(found))
    else:
        Console().print(Markdown("\n".join(account(found))))
        typer.echo(f"\nkept in {keep or work / 'account'}; all of it, with every answer: {work}")
    if not found.as_expected:
        raise typer.Exit(1)
