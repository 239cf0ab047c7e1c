"""The `crossover` command: thin, and each command imports what it needs when it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="crossover",
    help="An OpenAI-compatible gateway that knows what each token costs, on your own box and in the cloud.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
sandbox = typer.Typer(help="Local stand-ins that speak the real wire.", no_args_is_help=True)
app.add_typer(sandbox, name="sandbox")

PolicyFile = Annotated[Path, typer.Option("--policy", help="The policy file (YAML).", show_default=False)]


def _version(wanted: bool) -> None:
    if wanted:
        from gateway import __version__

        typer.echo(f"crossover {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and end.")
    ] = False,
) -> None:
    """Crossover."""


@app.command()
def serve(
    policy: PolicyFile,
    json: Annotated[bool, typer.Option("--json", help="When up, print the addresses as one JSON line.")] = False,
) -> None:
    """Run the gateway of a policy file until it is interrupted."""
    import msgspec
    from rich.console import Console

    from gateway.metering.ledger import LedgerError
    from gateway.policy import PolicyError, load_policy
    from gateway.server.banner import banner
    from gateway.server.run import Addresses, serve

    err = Console(stderr=True)
    try:
        settings = load_policy(policy)

        def announce(addresses: Addresses) -> None:
            if json:
                typer.echo(msgspec.json.encode(addresses))
            else:
                err.print(banner(settings, addresses))

        serve(settings, announce)
    except PolicyError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except (OSError, LedgerError, ValueError) as error:
        typer.echo(f"crossover serve: {error}", err=True)
        raise typer.Exit(1) from None


def _mount() -> None:
    """Commands that live beside their parts. Their modules import lightly; the work is imported when it runs."""
    from gateway.bench.cli import app as bench
    from gateway.demo.cli import demo
    from gateway.explain.cli import explain
    from gateway.policy.cli import app as policy
    from gateway.replay.cli import replay
    from gateway.replay.plan_cli import plan
    from gateway.report.cli import economics
    from gateway.sandbox.bedrock.cli import app as bedrock
    from gateway.sandbox.generator.cli import app as generator
    from gateway.sandbox.vllm.cli import app as vllm
    from gateway.statement.cli import report
    from trainer.bench.cli import training
    from trainer.cli import adapter
    from trainer.preflight.cli import doctor
    from trainer.refresh.cli import refresh

    app.command()(demo)
    app.command()(economics)
    app.command()(replay)
    app.command()(plan)
    app.command()(explain)
    app.command()(report)
    app.command()(doctor)
    app.command()(refresh)
    app.add_typer(adapter, name="adapter")
    bench.command()(training)
    app.add_typer(bench, name="bench")
    app.add_typer(policy, name="policy")
    sandbox.add_typer(bedrock, name="bedrock")
    sandbox.add_typer(generator, name="generator")
    sandbox.add_typer(vllm, name="vllm")


def main() -> None:
    if home := os.environ.get("CROSSOVER_HOME"):
        # Settings files name it as well, and what is relative in them is relative to them.
        os.environ["CROSSOVER_HOME"] = os.path.abspath(home)
    _mount()
    app()


if __name__ == "__main__":
    main()
