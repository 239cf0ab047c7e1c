"""`crossover sandbox generator`: the simulated box on its own. Joined by `add_typer(app, name="generator")`."""

from __future__ import annotations

import json as jsonlib
import signal
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import asyncio

    from gateway.sandbox.generator.settings import GeneratorSettings

app = typer.Typer(help="A local stand-in for a vLLM server: OpenAI's wire, a real queue, SIMULATED text.")


@app.callback(invoke_without_command=True)
def generator(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on; no key is asked for.")] = "127.0.0.1",
    models: Annotated[str, typer.Option(help="Model names that it answers to, with commas between.")] = "tuned",
    tokens_per_second: Annotated[
        float, typer.Option(help="Output tokens/s of one stream alone; 0: as fast as possible.", min=0)
    ] = 20.0,
    max_tokens_per_second: Annotated[
        float, typer.Option(help="Output tokens/s of all streams together; 0: a full batch is no slower.", min=0)
    ] = 0.0,
    max_streams: Annotated[int, typer.Option(help="Streams served at once; the rest wait in line.", min=1)] = 64,
    first_token_seconds: Annotated[float, typer.Option(help="Wait before the first token.", min=0)] = 0.0,
    prompt_tokens_per_second: Annotated[
        float, typer.Option(help="Prompt tokens read per second, prompts one after another; 0: at once.", min=0)
    ] = 0.0,
    context_tokens: Annotated[int, typer.Option(help="Longest prompt and answer together, tokens.", min=2)] = 8192,
    max_lora_rank: Annotated[int, typer.Option(help="Adapters of a higher rank are refused.", min=1)] = 16,
    json: Annotated[bool, typer.Option("--json", help="When up, print the address as one JSON line.")] = False,
) -> None:
    """Run the generator box until Ctrl-C."""
    import asyncio

    from gateway.sandbox.generator.settings import GeneratorSettings

    try:
        settings = GeneratorSettings(
            models=tuple(name.strip() for name in models.split(",") if name.strip()),
            tokens_per_second=tokens_per_second,
            max_tokens_per_second=max_tokens_per_second,
            max_streams=max_streams,
            first_token_seconds=first_token_seconds,
            prompt_tokens_per_second=prompt_tokens_per_second,
            context_tokens=context_tokens,
            max_lora_rank=max_lora_rank,
        )
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    try:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(_run(settings, host, port, json))
    except OSError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _new_loop() -> asyncio.AbstractEventLoop:
    import asyncio

    try:
        import uvloop
    except ImportError:  # not every platform has it
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


async def _run(settings: GeneratorSettings, host: str, port: int, json: bool) -> None:
    import asyncio

    from gateway.sandbox.generator.server import serve

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with serve(settings, host, port) as served:
        if json:
            typer.echo(jsonlib.dumps({"api": served.base_url, "metrics": f"{served.url}/metrics", "simulated": True}))
        else:
            for line in described(settings):
                typer.echo(line)
            typer.echo(f"Listening on {served.base_url}  (metrics: {served.url}/metrics)")
        await stop.wait()


def described(settings: GeneratorSettings) -> list[str]:
    """What is simulated."""
    alone, streams = settings.tokens_per_second, settings.max_streams
    if alone:
        together = streams / settings.step_seconds(streams)
        pace = f"{alone:g} tokens/s alone, {together:g} with all {streams} streams"
    else:
        pace = f"as fast as possible, {streams} streams at once"
    return [
        "Generator box. SIMULATED: no model runs here; the text is a small generator's and carries no answer.",
        f"  models {', '.join(settings.models)}; {pace}; first token after {settings.first_token_seconds:g} s",
    ]
