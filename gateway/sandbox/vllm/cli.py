"""`crossover sandbox vllm`: the local box on its own. Joined by `add_typer(app, name="vllm")`."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gateway.sandbox.vllm.server import VllmServer

app = typer.Typer(help="The local box without a GPU: vLLM's CPU build, a small model and a LoRA adapter.")


@app.callback(invoke_without_command=True)
def vllm(
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on; vLLM asks for no key.")] = "127.0.0.1",
    home: Annotated[
        Path,
        typer.Option(
            envvar="CROSSOVER_HOME",
            help="Folder for the environment, the model and the adapter, relative to the working folder.",
        ),
    ] = Path(".crossover"),
    prepare_only: Annotated[
        bool, typer.Option("--prepare-only", help="Make the environment, the model and the adapter, and end.")
    ] = False,
) -> None:
    """Prepare what is missing, start the server, and run until Ctrl-C ends it and everything it started."""
    import asyncio

    from gateway.sandbox.home import HomeError
    from gateway.sandbox.vllm.environment import EnvironmentFailedError
    from gateway.sandbox.vllm.prepare import PreparationFailedError, prepare
    from gateway.sandbox.vllm.server import VllmFailedError, VllmServer, require_free_port
    from gateway.sandbox.vllm.settings import VllmSettings

    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts its background jobs with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        if not prepare_only:
            require_free_port(host, port)  # before minutes are spent on what could not be served
        prepared = prepare(home, typer.echo)
        if prepare_only:
            return
        settings = VllmSettings(
            python=prepared.python,
            model_dir=prepared.model_dir,
            adapters={prepared.adapter: prepared.adapter_dir},
            host=host,
            port=port,
            log_file=home.absolute() / "logs" / f"vllm-{port}.log",
        )
        asyncio.run(_serve(VllmServer(settings)))
    except KeyboardInterrupt:
        typer.echo("stopped")
    except (HomeError, EnvironmentFailedError, PreparationFailedError, VllmFailedError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


async def _serve(server: VllmServer) -> None:
    settings = server.settings
    started = time.monotonic()
    try:
        server.start()
        typer.echo(f"starting vLLM (half a minute to a minute); log: {settings.log_file}")
        await server.wait_ready()
        typer.echo(f"ready in {time.monotonic() - started:.0f} s at {settings.base_url}")
        typer.echo(f"models: {', '.join([settings.served_name, *settings.adapters])}")
        typer.echo("Ctrl-C ends it")
        await server.wait_end()
    finally:
        server.stop()
