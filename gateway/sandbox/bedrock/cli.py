"""`crossover sandbox bedrock`: the stand-in on its own."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gateway.sandbox.bedrock.settings import ModelSettings, SandboxSettings

app = typer.Typer()


@app.callback(invoke_without_command=True)
def bedrock(
    settings: Annotated[
        Path | None,
        typer.Option(help="YAML or JSON file; without it, the models that are shipped.", show_default=False),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 9100,
    time_scale: Annotated[
        float | None,
        typer.Option(help="How many times faster windows, idle time and cold starts pass.", min=0.001),
    ] = None,
) -> None:
    """A local stand-in for Amazon Bedrock's runtime and S3 Vectors: true wire, simulated models, its own bill.

    Both are on one port until Ctrl-C: boto3 and the AWS CLI find them with
    AWS_ENDPOINT_URL=http://127.0.0.1:9100 and any credentials.

    Vectors are kept in memory, up to 256 MiB (max_bytes in the settings file),
    and are gone when it ends. A search takes about 30 ms for every 1,000 vectors
    of 1,024 dimensions.

    What Titan Text Embeddings v2 answers is SIMULATED: hashed words, no model.
    """
    import asyncio

    from gateway.sandbox.bedrock.settings import SandboxSettings

    try:
        chosen = SandboxSettings.load(settings) if settings else SandboxSettings.default()
        if time_scale is not None:
            chosen = SandboxSettings.model_validate({**dict(chosen), "time_scale": time_scale})
    except (OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    try:
        asyncio.run(_run(chosen, host, port))
    except OSError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


async def _run(settings: SandboxSettings, host: str, port: int) -> None:
    import asyncio

    from gateway.sandbox.bedrock.server import serve

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with serve(settings, host, port) as served:
        for line in described(settings):
            typer.echo(line)
        typer.echo(f"Listening on {served.url}  (bill: {served.url}/_sandbox/bill)")
        await stop.wait()


def described(settings: SandboxSettings) -> list[str]:
    """What is simulated, one line a model."""
    source = f"{settings.text.model} at {settings.text.base_url}" if settings.text.model else "the built-in generator"
    return [
        f"Bedrock sandbox, {settings.region}. SIMULATED: nothing here reaches AWS or costs money. Text: {source}.",
        f"Time scale {settings.time_scale:g}.",
        f"S3 Vectors on the same address: in memory, up to {settings.s3vectors.max_bytes / 2**20:g} MiB, exact search.",
        *(f"  {_describe(model, settings)}" for model in settings.models),
    ]


def _describe(model: ModelSettings, settings: SandboxSettings) -> str:
    from gateway.sandbox.bedrock.settings import EmbeddingSettings, FoundationSettings, ImportedSettings

    if isinstance(model, EmbeddingSettings):
        return (
            f"embedding    {model.id}\n               SIMULATED vectors (hashed words) after "
            f"{model.latency_seconds:g} s; ${model.input_usd_per_1m} per 1M input tokens"
        )
    pace = f"{model.tokens_per_second:g} tokens/s after {model.first_token_seconds:g} s"
    if isinstance(model, ImportedSettings):
        scale = settings.time_scale
        return (
            f"imported     {model.arn}\n               {pace}; cold start {model.cold_start_seconds / scale:g} s, "
            f"windows of {model.window_seconds / scale:g} s, up to {model.max_copies} copies x "
            f"{model.concurrency_per_copy} calls, {model.units_per_copy} units x ${model.usd_per_unit_minute} a minute"
        )
    if isinstance(model, FoundationSettings):
        price = f"${model.input_usd_per_1m} in, ${model.output_usd_per_1m} out per 1M tokens"
        return f"foundation   {model.id}\n               {pace}; {price}"
    return f"provisioned  {model.arn}\n               {pace}; {model.units} units x ${model.usd_per_unit_hour} an hour"
