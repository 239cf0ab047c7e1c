"""`crossover refresh`: train, gate, export, publish."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trainer.refresh.run import Published, Tools
    from trainer.settings.load import Loaded
    from trainer.settings.schema import TrainSettings


def refresh(
    config: Annotated[Path, typer.Option("--config", help="The settings file (YAML).", show_default=False)],
    again: Annotated[
        bool, typer.Option("--again", help="Do all steps though nothing has changed since the last refresh.")
    ] = False,
    without_gate: Annotated[
        str | None,
        typer.Option(
            "--without-gate",
            metavar="NAME",
            show_default=False,
            help="Publish though the settings name no gate: the adapter's name again. The history tells so.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON on standard output.")] = False,
    python: Annotated[
        Path | None, typer.Option("--python", help="The Python that has torch.", show_default=False)
    ] = None,
) -> None:
    """From data to traffic: train an adapter, keep it as a version, gate it, export its merged weights, publish it.

    Stops where a step says no, and leaves traffic as it was. The same command goes on with a refresh that was
    stopped. Exits 2 where the settings are wrong, 1 where a step says no, 3 where the gate is undecided, 130 when
    interrupted.
    """
    import msgspec

    from gateway.policy.problem import SettingsError
    from trainer.environment import NoTrainingEnvironmentError, training_python
    from trainer.refresh.journal import one_at_a_time
    from trainer.refresh.run import StepFailedError, begin
    from trainer.refresh.run import refresh as run_steps
    from trainer.refresh.summary import shown, summary
    from trainer.settings.load import load_settings

    def say(line: str) -> None:
        typer.echo(line, err=True)

    try:
        loaded = load_settings(config)
        _require_a_gate(loaded.settings, without_gate)
        chosen = training_python(python)
        with one_at_a_time(Path(loaded.settings.runs), loaded.settings.name):
            journal, note = begin(loaded.settings, again=again)
            if note:
                say(note)
            done = run_steps(loaded, journal, _tools(loaded, chosen, without_gate is not None, say), say)
        result = summary(loaded.settings, done)
    except (SettingsError, NoTrainingEnvironmentError) as error:
        say(str(error))
        raise typer.Exit(2) from None
    except StepFailedError as error:
        say(f"refresh stopped at {error.step}: {error}")
        raise typer.Exit(error.status) from None
    except OSError as error:
        say(f"refresh stopped: {error}")
        raise typer.Exit(1) from None
    if not done.changed:
        say(
            f"nothing to do: {result.version} was made from these settings and this data (refresh of "
            f"{done.journal.started_at}); --again does it once more"
        )
    if as_json:
        typer.echo(msgspec.json.encode(result))
    elif done.changed:
        shown(result)


def _tools(loaded: Loaded, python: Path, without_gate: bool, say: Callable[[str], None]) -> Tools:
    from trainer.refresh.run import Tools

    settings = loaded.settings
    return Tools(
        train=lambda fresh: _train(loaded.path, python, fresh=fresh),
        gate=lambda version: _gate(settings, version, say),
        export=lambda version, folder: _export(settings, version, folder, python, say),
        publish=lambda version: _publish(settings, version, without_gate, say),
    )


def _require_a_gate(settings: TrainSettings, without_gate: str | None) -> None:
    """Before an hour of training: what is published needs a verdict, or whoever publishes it says by name that it has
    none. Raises SettingsError."""
    from gateway.policy.problem import Problem, SettingsError

    said, mend = None, ""
    if without_gate is not None and settings.gate is not None:
        said, mend = "the settings name a gate", "leave --without-gate out; what the gate refuses is published by name"
    elif without_gate is not None and without_gate != settings.name:
        said, mend = f"the adapter is called {settings.name}", "give its whole name"
    elif without_gate is None and settings.gate is None and settings.publish is not None:
        said = f"a version of {settings.name} would be published, and the settings name no gate (`gate.config`)"
        mend = f"name one, or say --without-gate {settings.name}"
    if said is not None:
        raise SettingsError([Problem("command line", 1, 1, "--without-gate", without_gate, said, mend)])


def _gate(settings: TrainSettings, version: str, say: Callable[[str], None]) -> str:
    from gateway.policy.problem import SettingsError
    from trainer.data.problem import DataError
    from trainer.gate.errors import GateError
    from trainer.gate.judging import gate_version
    from trainer.publish.errors import PublishError
    from trainer.refresh.run import StepFailedError
    from trainer.registry import RegistryError

    left = f"{version} is in the registry, and neither exported nor published"
    try:
        found = gate_version(settings, version, say=say)
    except (SettingsError, DataError, GateError, PublishError, RegistryError, OSError) as error:
        raise StepFailedError("gate", f"{left}. {error}", 2 if isinstance(error, SettingsError) else 1) from None
    if found.status:
        raise StepFailedError("gate", f"{left}. {found.said}", found.status)
    return found.said


def _train(config: Path, python: Path, *, fresh: bool) -> Path:
    from trainer.refresh.run import StepFailedError
    from trainer.train.cli import run_training

    status, folder = run_training(config, fresh=fresh, python=python, all_to_stderr=True)
    if status or folder is None:
        raise StepFailedError(
            "train", "training did not finish: nothing was registered, exported or published", status or 1
        )
    return folder


def _publish(settings: TrainSettings, version: str, without_gate: bool, say: Callable[[str], None]) -> Published:
    from trainer.gate.terms import named_gate
    from trainer.publish.errors import PublishError
    from trainer.publish.place import find_place
    from trainer.publish.publishing import named, publish, target_of
    from trainer.refresh.run import Published, StepFailedError
    from trainer.registry.version import parse_id

    where = settings.publish
    assert where is not None
    gate = named_gate(None if settings.gate is None else settings.gate.config)
    try:
        place = find_place(
            where.policy, where.alias, where.backend, settings.registry, max_lora_rank=settings.serving.max_lora_rank,
            gate=None if gate is None else gate.name, asks=gate,
        )  # fmt: skip
        live = named(target_of(place)["live"])
        if live == version:
            return Published(f"{version} is live already for {place.name}", None)
        name, at, number = live.partition("@")
        if at and name == settings.name and number > f"v{parse_id(version)[1]:04d}":
            raise StepFailedError(
                "publish", f"{live} is live for {place.name} and newer than {version}: it stays. To go back on "
                f"purpose: crossover adapter publish {version}",
            )  # fmt: skip
        told = version if without_gate else None
        done = publish(version, place, share=where.canary_share, without_gate=told, say=say)
    except PublishError as error:
        raise StepFailedError(
            "publish", f"{version} is in the registry and not published. {error}", error.status
        ) from None
    for warning in done.warnings:
        say(f"warning: {warning}")
    part = "all requests" if done.share is None else f"{done.share:.0%} of the requests"
    return Published(f"{version} got {part} for {place.name}, where {done.before} served", done.before)


def _export(settings: TrainSettings, version: str, folder: Path, python: Path, say: Callable[[str], None]) -> str:
    from trainer.export.cli import said
    from trainer.export.export import ExportError, export
    from trainer.refresh.run import StepFailedError
    from trainer.registry import Registry, RegistryError

    registry = Registry(Path(settings.registry))
    try:
        done = export(registry, registry.get(version), folder, python=python, say=say)
    except (ExportError, RegistryError, OSError) as error:
        raise StepFailedError(
            "export", f"{version} is in the registry, and neither exported nor published. {error}"
        ) from None
    return said(done).splitlines()[0]
