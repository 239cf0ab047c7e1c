"""`crossover demo`: everything on this machine, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast, get_args

import typer

PLAIN_WIDTH = 120
"""Columns where no terminal says how wide it is."""


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the traffic; without it the gateway stays up.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the account as JSON at the end (progress on stderr).")
    ] = False,
    seconds: Annotated[float, typer.Option(min=5, max=290, help="Length of the recorded traffic, in seconds.")] = 60.0,
    rate: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=4.5,
            help="Mean requests per second that it is thinned to (3.2 were recorded in the first minute).",
        ),
    ] = 1.6,
    box: Annotated[
        str,
        typer.Option(help="What serves the box: vllm, generator (simulated), or auto: vLLM where it can be installed."),
    ] = "auto",
    home: Annotated[
        Path,
        typer.Option(
            envvar="CROSSOVER_HOME", help="Folder for all that is installed and made, relative to the working folder."
        ),
    ] = Path(".crossover"),
) -> None:
    """Run the whole product here: vLLM on the CPU, a Bedrock stand-in, the gateway, and real traffic through it."""
    import msgspec
    from rich.console import Console
    from rich.markup import escape

    try:
        from gateway.demo.run import DemoSettings, Outcome, run
    except ModuleNotFoundError as error:
        if error.name != "openai":
            raise
        typer.echo("the demo needs the openai package: install crossover[demo]", err=True)
        raise typer.Exit(1) from None
    from gateway.demo.children import PartFailedError
    from gateway.demo.local_box import BoxChoice
    from gateway.sandbox.home import HomeError
    from gateway.sandbox.vllm.environment import EnvironmentFailedError
    from gateway.sandbox.vllm.prepare import PreparationFailedError
    from gateway.sandbox.vllm.server import VllmFailedError

    console = Console(stderr=json)
    if not console.is_terminal:
        console = Console(stderr=json, width=PLAIN_WIDTH)
    if box not in get_args(BoxChoice):
        typer.echo(f"--box is '{box}': it must be one of {', '.join(get_args(BoxChoice))}", err=True)
        raise typer.Exit(2)
    settings = DemoSettings(home.absolute(), seconds, rate, once, cast(BoxChoice, box))

    def show(outcome: Outcome) -> None:
        if json:
            typer.echo(msgspec.json.encode(outcome.as_json()))

    try:
        outcome = run(settings, console, show)
    except KeyboardInterrupt:
        console.print("\nstopped: every part has ended")
        raise typer.Exit(130) from None
    except (
        PartFailedError, HomeError, EnvironmentFailedError, PreparationFailedError, VllmFailedError, OSError,
    ) as error:  # fmt: skip
        # Escaped: a line of a log may look like markup.
        console.print(f"[bold red]the demo ended:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    if outcome.differences or outcome.failed:
        raise typer.Exit(1)
