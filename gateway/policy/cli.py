"""`crossover policy`: check a policy file, print its schema, show what it resolves to, hash a key."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gateway.policy.schema import Policy

app = typer.Typer(help="The policy file: check it, show what it resolves to.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="The policy file (YAML).", metavar="FILE")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
IgnoreUnset = Annotated[
    bool, typer.Option("--ignore-unset", help="Do not require the environment variables that the file names.")
]


@app.command()
def check(file: File, as_json: AsJson = False, ignore_unset: IgnoreUnset = False) -> None:
    """Say everything that is wrong with a policy, with file and line. Exits 2 when anything is."""
    from gateway.policy.notes import notes

    policy = _load(file, as_json, ignore_unset)
    aliases, backends = list(policy.aliases), list(policy.backends)
    if as_json:
        found = {"ok": True, "fingerprint": policy.fingerprint(), "backends": backends, "aliases": aliases}
        typer.echo(json.dumps({"file": str(file), **found, "notes": notes(policy), "errors": []}))
    else:
        typer.echo(f"{file}: ok ({policy.fingerprint()})")
        typer.echo(f"  backends: {', '.join(backends)}")
        typer.echo(f"  aliases:  {', '.join(aliases) or 'none: nothing is served'}")
        for note in notes(policy):
            typer.echo(f"  note: {note}")


@app.command()
def schema() -> None:
    """Print the policy file's JSON Schema, for editors and other programs."""
    from gateway.policy.schema import Policy

    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Policy.model_json_schema()}
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


@app.command()
def show(file: File, as_json: AsJson = False, ignore_unset: IgnoreUnset = False) -> None:
    """Print every setting as it resolves, defaults marked and secrets masked."""
    from gateway.policy.resolved import default_paths, masked, settings_lines

    policy = _load(file, as_json, ignore_unset)
    if as_json:
        typer.echo(json.dumps({"settings": masked(policy), "defaults": default_paths(policy)}, indent=2))
    else:
        typer.echo(f"# {file} ({policy.fingerprint()})")
        for line in settings_lines(policy):
            typer.echo(line)


@app.command()
def hash_key(
    as_json: AsJson = False,
    new: Annotated[bool, typer.Option("--new", help="Make a key, whatever standard input is.")] = False,
) -> None:
    """Print the SHA-256 of the key on standard input; at a terminal, make a key and print both."""
    import hashlib
    import secrets

    piped = not new and not sys.stdin.isatty()
    given = sys.stdin.readline().strip() if piped else ""
    if piped and not given:
        # An unset variable in `echo $KEY | ...`: a new key here would be one that nobody sees.
        typer.echo("standard input holds no key: pipe one in, or ask for a new one with --new", err=True)
        raise typer.Exit(2)
    key = given or "xo-" + secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    # A key that was given is not echoed: the screen and the shell's history are not where it belongs.
    shown = {} if given else {"key": key}
    if as_json:
        typer.echo(json.dumps({**shown, "sha256": digest}))
        return
    for name, value in {**shown, "sha256": digest}.items():
        typer.echo(f"{name}: {value}")
    if not given:
        typer.echo("Keep the key: it is not stored. The sha256 goes into the policy.", err=True)


def _load(file: Path, as_json: bool, ignore_unset: bool) -> Policy:
    from gateway.policy.load import load_policy
    from gateway.policy.problem import PolicyError

    try:
        return load_policy(file, require_environment=not ignore_unset)
    except PolicyError as error:
        count = len(error.problems)
        typer.echo(f"{error}\n{count} error{'s' if count > 1 else ''}", err=True)
        if as_json:
            errors = [problem.as_dict() for problem in error.problems]
            typer.echo(json.dumps({"file": str(file), "ok": False, "errors": errors}))
        raise typer.Exit(2) from None
