"""`crossover explain`: what would a running gateway do with this request now, and why?"""

from __future__ import annotations

from typing import Annotated

import typer


def explain(
    request: Annotated[
        str | None,
        typer.Argument(metavar="REQUEST", help="A file with a chat body, - for standard input, or the JSON itself."),
    ] = None,
    decision: Annotated[
        str | None, typer.Option(metavar="ID", help="Explain a decision made: the answer's x-crossover-decision.")
    ] = None,
    url: Annotated[str, typer.Option(help="The gateway.")] = "http://127.0.0.1:8080",
    admin_key_env: Annotated[
        str, typer.Option(metavar="NAME", help="The environment variable that has an admin key.")
    ] = "CROSSOVER_ADMIN_KEY",
    max_ttft_ms: Annotated[float | None, typer.Option(help="Ceiling of the time to the first token.")] = None,
    max_latency_ms: Annotated[float | None, typer.Option(help="Ceiling of the time to the last token.")] = None,
    quality: Annotated[str | None, typer.Option(help="The quality class that is enough.")] = None,
    backend: Annotated[str | None, typer.Option(help="Pin it to this backend.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the explanation as JSON.")] = False,
) -> None:
    """Ask a running gateway what it would do with a request now. Nothing is sent to a backend.

    Exits 1 when the gateway does not answer or refuses, 2 when the request cannot be read.
    """
    import json
    import os

    from rich.console import Console

    from gateway.explain.ask import ExplainError, Gateway
    from gateway.explain.table import show

    if (request is None) == (decision is None):
        raise typer.BadParameter("give either a REQUEST or --decision ID")
    key = os.environ.get(admin_key_env)
    if not key:
        typer.echo(
            f"{admin_key_env} is not set: put one of the gateway's admin keys there (auth.admin_keys in the policy), "
            "or name another variable with --admin-key-env",
            err=True,
        )
        raise typer.Exit(2)
    gateway = Gateway(url, key)
    headers = {
        "x-crossover-max-ttft-ms": max_ttft_ms, "x-crossover-max-latency-ms": max_latency_ms,
        "x-crossover-quality": quality, "x-crossover-backend": backend,
    }  # fmt: skip
    body = b"" if request is None else _read(request)
    try:
        if decision is not None:
            told = gateway.did(decision)
        else:
            told = gateway.would_do(body, {name: str(value) for name, value in headers.items() if value is not None})
    except ExplainError as error:
        typer.echo(f"crossover explain: {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        show(told, Console())


def _read(request: str) -> bytes:
    import sys
    from pathlib import Path

    if request == "-":
        return sys.stdin.buffer.read()
    if request.lstrip().startswith("{"):
        return request.encode()
    try:
        return Path(request).read_bytes()
    except OSError as error:
        typer.echo(f"{request} cannot be read ({error.strerror}): give a file, - or the JSON itself", err=True)
        raise typer.Exit(2) from None
