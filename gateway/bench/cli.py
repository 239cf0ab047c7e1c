"""`crossover bench`: `speed` measures a server and prints the policy's `speed` block for it; and `gateway`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.bench.gateway.command import gateway

if TYPE_CHECKING:
    from rich.console import Console

    from gateway.bench.speed import Measured

app = typer.Typer(help="Measure a server, or the gateway itself.", no_args_is_help=True)
app.command()(gateway)

MOST_AT_ONCE = 512
MOST_LEVELS = 16


@app.callback()
def bench() -> None:
    """Measure a server, or the gateway itself."""


@app.command()
def speed(
    url: Annotated[str, typer.Option(help="An OpenAI-compatible server, up to and including /v1.", metavar="URL")],
    model: Annotated[str, typer.Option(help="The model to ask for.", metavar="NAME")],
    api_key_env: Annotated[
        str | None, typer.Option("--api-key-env", metavar="VAR", help="Environment variable with the key, if any.")
    ] = None,
    concurrency: Annotated[
        str, typer.Option(help="Streams at once, with commas between; 1 is always measured.", metavar="N,N,...")
    ] = "1,2,4,8,16,32",
    output_tokens: Annotated[int, typer.Option(min=4, max=4096, help="Tokens of each answer.")] = 64,
    prompt_tokens: Annotated[
        int, typer.Option(min=64, max=100_000, help="Tokens of the long prompt, about: for the prompt speed.")
    ] = 1000,
    seconds: Annotated[
        float, typer.Option(min=1, max=600, help="Longest time for one level, in seconds; answers are cut then.")
    ] = 60.0,
    timeout: Annotated[float, typer.Option(min=1, max=3600, help="Seconds that one answer may take.")] = 300.0,
    tpot_ceiling: Annotated[
        float | None, typer.Option(min=0.0001, help="Seconds a token may take: how many streams meet that?")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    chart: Annotated[Path | None, typer.Option("--plot", metavar="OUT.svg", help="Draw the curve here.")] = None,
) -> None:
    """Measure one stream, many together, prompts and the first token; print the `speed:` block for a policy.

    Sends real requests: run it while nobody else uses the server. On a metered service it costs money.
    """
    import asyncio

    from rich.console import Console

    from gateway.bench.shown import as_json as json_of
    from gateway.bench.shown import plot, remarks, table
    from gateway.bench.speed import speed as block_of
    from gateway.bench.streams import BenchError

    levels = _levels(concurrency)
    key = None
    if api_key_env is not None:
        key = os.environ.get(api_key_env)
        if not key:
            raise typer.BadParameter(f"the environment variable {api_key_env} is not set: export it, or leave this out")
    err = Console(stderr=True)
    try:
        measured = asyncio.run(_measured(err, url, model, key, levels, output_tokens, prompt_tokens, seconds, timeout))
    except BenchError as error:
        typer.echo(f"crossover bench speed: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    block = block_of(measured)
    if chart is not None:
        try:
            chart.write_text(plot(measured, model, tpot_ceiling), encoding="utf-8")
        except OSError as error:
            typer.echo(f"crossover bench speed: the chart cannot be written: {error}", err=True)
            raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(json_of(measured, block, tpot_ceiling), indent=2))
        return
    console = Console()
    console.print(table(measured, tpot_ceiling))
    for remark in remarks(measured, tpot_ceiling):
        console.print(remark, highlight=False)
    typer.echo("\nFor the policy:\n\n" + block.yaml(), nl=False)


async def _measured(
    err: Console, url: str, model: str, key: str | None, levels: list[int], output_tokens: int, prompt_tokens: int,
    seconds: float, patience: float,
) -> Measured:  # fmt: skip
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from gateway.bench.speed import measure
    from gateway.bench.streams import Target

    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=err, transient=True
    ) as progress:
        bar = progress.add_task("connecting", total=3 + len({1, *levels}))
        begun = -1

        def say(words: str) -> None:
            nonlocal begun
            begun += 1
            progress.update(bar, description=words, completed=begun)

        async with Target(url, model, key, patience) as target:
            return await measure(
                target, levels, output_tokens=output_tokens, prompt_tokens=prompt_tokens, seconds=seconds, say=say
            )


def _levels(given: str) -> list[int]:
    try:
        levels = [int(part) for part in given.split(",") if part.strip()]
    except ValueError:
        raise typer.BadParameter(f"--concurrency is {given!r}: give whole numbers with commas between") from None
    if not levels or min(levels) < 1 or max(levels) > MOST_AT_ONCE or len(levels) > MOST_LEVELS:
        raise typer.BadParameter(
            f"--concurrency is {given!r}: give 1 to {MOST_LEVELS} numbers from 1 to {MOST_AT_ONCE}"
        )
    return levels
