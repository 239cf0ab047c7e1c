"""`crossover adapter list`, `show` and `import`. Imports lightly; the work is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

RegistryFolder = Annotated[
    Path, typer.Option("--registry", metavar="DIR", help="Folder of finished versions (`registry` in the settings).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NameOrVersion = Annotated[
    str, typer.Argument(metavar="NAME@vNNNN", help="A version, or a name for its newest.", show_default=False)
]
DEFAULT_REGISTRY = Path("adapters")


def list_adapters(
    name: Annotated[str | None, typer.Argument(help="Only this adapter's versions.", show_default=False)] = None,
    registry: RegistryFolder = DEFAULT_REGISTRY,
    json: AsJson = False,
) -> None:
    """The versions in the registry: where each comes from, what the gate said, and who serves it."""
    import msgspec
    from rich.console import Console

    from trainer.registry import Registry, RegistryError
    from trainer.registry.shown import list_table, listed

    try:
        lines = listed(Registry(registry), name)
    except RegistryError as error:
        _refuse("list", error)
    if json:
        typer.echo(msgspec.json.encode(lines))
    elif lines:
        Console(width=None).print(list_table(lines))
    else:
        typer.echo(f"{registry} holds no versions yet")


def show(version: NameOrVersion, registry: RegistryFolder = DEFAULT_REGISTRY, json: AsJson = False) -> None:
    """All about one version: where it comes from, who serves it, and whether every byte is as it was written."""
    import msgspec
    from rich.console import Console

    from trainer.registry import Registry, RegistryError
    from trainer.registry.shown import show_table, shown

    try:
        found = shown(Registry(registry), version)
    except RegistryError as error:
        _refuse("show", error)
    if json:
        typer.echo(msgspec.json.encode(found))
    else:
        Console().print(show_table(found))
    if found.problems:
        raise typer.Exit(1)


def import_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="peft's adapter_config.json and weights.")],
    name: Annotated[str, typer.Option(help="The adapter's name in the registry.", show_default=False)],
    base: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Its base model. Default: what the adapter names.")
    ] = None,
    max_lora_rank: Annotated[int, typer.Option(min=1, help="vLLM's --max-lora-rank.")] = 16,
    registry: RegistryFolder = DEFAULT_REGISTRY,
    json: AsJson = False,
) -> None:
    """Take in an adapter that was made elsewhere, if vLLM can serve it."""
    import msgspec

    from trainer.registry import Registry, RegistryError
    from trainer.registry.importing import import_adapter

    try:
        kept = Registry(registry)
        version = import_adapter(kept, folder, name, max_lora_rank=max_lora_rank, base=base)
    except (RegistryError, OSError) as error:
        _refuse("import", error)
    if json:
        typer.echo(msgspec.json.encode({"version": version.id, "folder": str(version.folder.absolute())}))
    else:
        typer.echo(f"{version.id} in {version.folder}")


def _refuse(command: str, error: Exception) -> NoReturn:
    typer.echo(f"crossover adapter {command}: {error}", err=True)
    raise typer.Exit(2) from None
