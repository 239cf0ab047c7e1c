"""`crossover adapter export`. Imports lightly; the work is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trainer.export.export import Exported
    from trainer.export.finding import Finding


def export(
    version: Annotated[
        str | None,
        typer.Argument(metavar="NAME@vNNNN", help="The version; a name alone is its newest.", show_default=False),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to write; it appears whole or not at all.")
    ] = None,
    check: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Only check this folder of a model: would Bedrock read it right?")
    ] = None,
    registry: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of finished versions (`registry` in the settings).")
    ] = Path("adapters"),
    base: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The base model, if it is not where it was in training.")
    ] = None,
    logits: Annotated[
        bool, typer.Option("--logits/--no-logits", help="Compare the merge with base and adapter on real prompts.")
    ] = True,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Export in spite of findings of this code; repeat it.")
    ] = None,
    python: Annotated[Path | None, typer.Option(help="The Python that has torch.", show_default=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Merge a version into its base for Bedrock Custom Model Import. What Bedrock would misread is refused.

    Exits 2 for what is not there or not an export's, 1 where the export was refused or failed.
    """
    if (check is None) == (version is None) or (check is None) != (to is not None):
        typer.echo("crossover adapter export: give NAME@vNNNN and --to DIR, or --check DIR alone", err=True)
        raise typer.Exit(2)
    if check is not None:
        _check(check, allow or [], json)
        return
    assert version is not None
    assert to is not None

    import msgspec

    from trainer.environment import NoTrainingEnvironmentError, training_python
    from trainer.export.export import ExportError, ExportRefusedError
    from trainer.export.export import export as run
    from trainer.registry import Registry, RegistryError

    def say(line: str) -> None:
        typer.echo(line, err=True)

    try:
        kept = Registry(registry)
        done = run(
            kept, kept.get(version), to, python=training_python(python), base=base, logits=logits,
            allowed=allow or [], say=say,
        )  # fmt: skip
    except (RegistryError, NoTrainingEnvironmentError) as error:
        say(f"crossover adapter export: {error}")
        raise typer.Exit(2) from None
    except ExportRefusedError as error:
        say(f"crossover adapter export: {str(error).splitlines()[0]}")
        _print(error.findings, json)
        raise typer.Exit(1) from None
    except (ExportError, OSError) as error:
        say(f"crossover adapter export: {error}")
        raise typer.Exit(1) from None
    if json:
        typer.echo(msgspec.json.encode(done))
    else:
        typer.echo(said(done))


def said(done: Exported) -> str:
    """An export in a few lines."""
    merge, logits = done.merge, done.logits
    lines = [
        f"{done.version} is merged in {done.folder}: {done.bytes / 1e9:.2f} GB, {merge['tensors_changed']} of "
        f"{merge['tensors']} tensors changed, everything else as in {done.base}",
        f"merged in {merge['seconds']:.1f} s with {merge['peak_bytes'] / 2**20:.0f} MiB of memory; rounding moved a "
        f"changed weight by {_share(merge['rounding_rms'], merge['delta_rms'])} of what the adapter did",
    ]
    if logits is None:
        lines.append("logits were not compared (--no-logits)")
    else:
        lines.append(
            f"logits on {logits['prompts']} prompts, {logits['positions']} tokens: RMS error {logits['error_rms']:.2g} "
            f"(rounding may bring {logits['bound_rms']:.2g}; the adapter brings {logits['adapter_effect_rms']:.2g}), "
            f"same first choice {logits['top1_agreement']:.1%}, KL {logits['kl_mean_nats']:.1e} nats"
        )
    lines += [str(finding) for finding in done.findings]
    return "\n".join(lines)


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "all"


def _check(folder: Path, allowed: list[str], json: bool) -> None:
    from trainer.export.cmi import check
    from trainer.export.finding import errors

    findings = check(folder)
    _print(findings, json)
    if errors(findings, allowed):
        raise typer.Exit(1)
    if not json:
        typer.echo(f"{folder}: nothing is known that Bedrock Custom Model Import would misread")


def _print(findings: list[Finding], json: bool) -> None:
    import msgspec
    from rich.console import Console
    from rich.markup import escape

    if json:
        typer.echo(msgspec.json.encode(findings))
        return
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        style = "red" if finding.severity == "error" else "yellow"
        console.print(f"[{style}]{finding.severity}[/] [bold]{finding.code}[/]: {escape(finding.what)}")
        console.print(f"  why:  {escape(finding.why)}")
        console.print(f"  mend: {escape(finding.mend)}")
