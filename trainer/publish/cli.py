"""`crossover adapter publish`, `promote`, `rollback`, `status` and `sync`. Imports lightly; the work is imported when
it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from trainer.publish.place import Place
    from trainer.settings.schema import TrainSettings

Config = Annotated[
    Path,
    typer.Option("--config", help="The training settings: their `publish` section says where.", show_default=False),
]
GatewayUrl = Annotated[
    str | None,
    typer.Option("--gateway", metavar="URL", help="The gateway. Default: server.host and port of its policy."),
]
ServerUrl = Annotated[
    str | None, typer.Option("--model-server", metavar="URL", help="vLLM. Default: the backend's base_url.")
]
RegistryThere = Annotated[
    str | None,
    typer.Option("--registry-there", metavar="DIR", help="The registry's folder as the model server sees it."),
]
AdminKey = Annotated[
    str | None,
    typer.Option(
        "--admin-key-env", metavar="NAME", help="Variable that holds an admin key. Default: the one the policy names."
    ),
]
Drain = Annotated[float, typer.Option("--drain-seconds", help="Wait so long for requests under way.", min=0)]
UnloadPrevious = Annotated[
    bool, typer.Option("--unload-previous", help="Free its memory too: a rollback must load it again.")
]
WithoutGate = Annotated[
    str | None,
    typer.Option(
        "--without-gate", metavar="NAME@vNNNN",
        help="Publish it though no gate passed it: the version's whole name again. Its history tells so.",
    ),
]  # fmt: skip
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def publish(
    version: Annotated[str, typer.Argument(metavar="NAME@vNNNN", help="A version, or a name for its newest.")],
    config: Config,
    canary: Annotated[
        float | None,
        typer.Option("--canary", help="Share of requests for it, above 0 and below 1. Default: publish.canary_share."),
    ] = None,
    all_requests: Annotated[
        bool, typer.Option("--all", help="All requests, whatever publish.canary_share says.")
    ] = False,
    drain_seconds: Drain = 300.0,
    unload_previous: UnloadPrevious = False,
    without_gate: WithoutGate = None,
    gateway: GatewayUrl = None,
    model_server: ServerUrl = None,
    registry_there: RegistryThere = None,
    admin_key_env: AdminKey = None,
    json: AsJson = False,
) -> None:
    """Bring a version to traffic: load it into vLLM, warm it up, move the gateway's alias, unload what is not used.

    What is not used is what no alias of this gateway needs: one vLLM behind two gateways must not share an adapter's
    name between them.

    A version without a passing verdict of `crossover adapter gate` is refused, unless --without-gate names it. A
    failure at any step leaves traffic as it was. Exits 2 for what was asked wrongly, 1 for what failed."""
    from trainer.publish.publishing import publish

    with _refusals("publish"):
        if canary is not None and all_requests:
            _stop("publish", "--canary is a part and --all is all: give one of them")
        settings, place = _place(config, gateway, model_server, registry_there, admin_key_env)
        share = canary
        if share is None and not all_requests and settings.publish is not None:
            share = settings.publish.canary_share
        done = publish(
            version, place, share=share, drain_seconds=drain_seconds, unload_previous=unload_previous,
            without_gate=without_gate, say=_say,
        )  # fmt: skip
    _end(done, json, done.warnings)


def promote(
    config: Config,
    drain_seconds: Drain = 300.0,
    unload_previous: UnloadPrevious = False,
    gateway: GatewayUrl = None,
    model_server: ServerUrl = None,
    admin_key_env: AdminKey = None,
    json: AsJson = False,
) -> None:
    """Give the canary all requests."""
    from trainer.publish.publishing import promote

    with _refusals("promote"):
        _, place = _place(config, gateway, model_server, None, admin_key_env)
        done = promote(place, drain_seconds=drain_seconds, unload_previous=unload_previous, say=_say)
    _end(done, json, done.warnings)


def rollback(
    config: Config,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Only if a version of this adapter is what would go.")
    ] = None,
    drain_seconds: Drain = 60.0,
    gateway: GatewayUrl = None,
    model_server: ServerUrl = None,
    registry_there: RegistryThere = None,
    admin_key_env: AdminKey = None,
    json: AsJson = False,
) -> None:
    """End the canary; without one, bring back what was live before. At once."""
    from trainer.publish.rollback import rollback

    with _refusals("rollback"):
        _, place = _place(config, gateway, model_server, registry_there, admin_key_env)
        done = rollback(place, name=name, drain_seconds=drain_seconds, say=_say)
    _end(done, json, done.warnings)


def status(
    config: Config,
    gateway: GatewayUrl = None,
    model_server: ServerUrl = None,
    admin_key_env: AdminKey = None,
    json: AsJson = False,
) -> None:
    """Who serves what: live, canary and previous generations, requests under way, and what vLLM has loaded."""
    import msgspec
    from rich.console import Console

    from trainer.publish.status import status, status_table

    with _refusals("status"):
        _, place = _place(config, gateway, model_server, None, admin_key_env)
        found = status(place)
    for line in place.warnings:
        typer.echo(f"warning: {line}", err=True)
    if json:
        typer.echo(msgspec.json.encode(found))
        return
    Console().print(status_table(found))
    if found.unused:
        typer.echo(f"loaded, and no alias wants it: {', '.join(found.unused)}")
    if found.unreachable:
        typer.echo(f"the model server could not be asked: {found.unreachable}", err=True)
    if any(row.loaded is False and row.share for row in found.adapters):
        typer.echo("`crossover adapter sync` loads what is missing", err=True)


def sync(
    config: Config,
    gateway: GatewayUrl = None,
    model_server: ServerUrl = None,
    registry_there: RegistryThere = None,
    admin_key_env: AdminKey = None,
    json: AsJson = False,
) -> None:
    """Load into vLLM what the gateway wants and it has not: after vLLM was restarted.

    Exits 1 when something is left."""
    from trainer.publish.sync import sync

    with _refusals("sync"):
        _, place = _place(config, gateway, model_server, registry_there, admin_key_env)
        done = sync(place, say=_say)
    _end(done, json, place.warnings)
    for line in done.lacking:
        typer.echo(f"not loaded: {line}", err=True)
    if done.lacking:
        raise typer.Exit(1)
    if not json and not done.loaded:
        typer.echo(f"nothing was missing: {', '.join(done.there)}")


def _place(
    config: Path, gateway: str | None, server: str | None, there: str | None, key: str | None
) -> tuple[TrainSettings, Place]:
    from gateway.policy.problem import SettingsError
    from trainer.gate.terms import named_gate
    from trainer.publish.errors import PublishError
    from trainer.publish.place import find_place
    from trainer.settings.load import load_settings

    try:
        settings = load_settings(config, require_files=False).settings
        gate = named_gate(None if settings.gate is None else settings.gate.config)
    except SettingsError as error:
        raise PublishError("settings", str(error), 2) from None
    where = settings.publish
    if where is None:
        raise PublishError(
            "settings", f"{config} has no `publish` section: it names the policy, the alias and the backend", 2
        )
    place = find_place(
        where.policy, where.alias, where.backend, settings.registry, max_lora_rank=settings.serving.max_lora_rank,
        gateway_url=gateway, server_url=server, registry_there=there, admin_key_variable=key,
        gate=None if gate is None else gate.name, asks=gate,
    )  # fmt: skip
    return settings, place


@contextmanager
def _refusals(command: str) -> Iterator[None]:
    from trainer.publish.errors import PublishError

    try:
        yield
    except PublishError as error:
        _stop(command, str(error), error.status)


def _stop(command: str, message: str, status: int = 2) -> None:
    typer.echo(f"crossover adapter {command}: {message}", err=True)
    raise typer.Exit(status)


def _say(line: str) -> None:
    """As it happens; standard output is for the end."""
    typer.echo(line, err=True)


def _end(done: Any, json: bool, warnings: tuple[str, ...]) -> None:
    import msgspec

    for line in warnings:
        typer.echo(f"warning: {line}", err=True)
    if json:
        typer.echo(msgspec.json.encode(done))
