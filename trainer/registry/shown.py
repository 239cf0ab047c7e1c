"""The registry for people and programs: one line a version, or all about one."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.markup import escape
from rich.table import Table

from trainer.registry.curve import loss_of, losses, sparkline
from trainer.registry.errors import RegistryError
from trainer.registry.lineage import Lineage
from trainer.registry.registry import Registry
from trainer.registry.state import UNTOUCHED, Serving, State
from trainer.registry.version import Version

_VERDICT_STYLES = {"pass": "green", "fail": "red", "undecided": "yellow"}


class Listed(msgspec.Struct, frozen=True):
    """One version in the list. `problem` says why its lineage could not be read; the fields from it are then null."""

    version: str
    stage: str
    created_at: str | None
    origin: str | None
    base: str | None
    rank: int | None
    loss: float | None
    verdict: str | None
    serving: tuple[Serving, ...]
    problem: str | None = None


class Shown(msgspec.Struct, frozen=True):
    """Everything about one version. `problems` is what `Registry.verify` found."""

    version: str
    folder: str
    lineage: Lineage
    state: State
    problems: list[str]


def listed(registry: Registry, name: str | None = None) -> list[Listed]:
    """All versions of one adapter, or of all, oldest first. Raises RegistryError for a name that is not there."""
    if name is not None:
        registry.latest(name)
    states = registry.states()
    names = registry.names() if name is None else [name]
    return [_line(registry, version, states) for each in names for version in registry.versions(each)]


def shown(registry: Registry, text: str) -> Shown:
    version = registry.get(text)
    return Shown(
        version.id,
        str(version.folder.absolute()),
        registry.lineage(version),
        registry.state(version),
        registry.verify(version),
    )


def list_table(lines: list[Listed]) -> Table:
    table = Table(
        "version", "stage", "created (UTC)", "base", "rank", "loss", "gate", "serving", box=None, pad_edge=False
    )
    for line in lines:
        stage_style = {"live": "green", "canary": "yellow", "retired": "dim"}.get(line.stage, "")
        table.add_row(
            line.version,
            f"[{stage_style}]{line.stage}[/]" if stage_style else line.stage,
            (line.created_at or "?")[:16].replace("T", " "),
            escape(line.base or "?"),
            "?" if line.rank is None else str(line.rank),
            "-" if line.loss is None else f"{line.loss:.4f}",
            _verdict(line.verdict),
            _serving(line.serving) or (f"[red]{escape(line.problem)}[/]" if line.problem else "-"),
        )
    return table


def show_table(found: Shown) -> Table:
    made, state = found.lineage, found.state
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")

    def row(name: str, value: str | None, style: str = "") -> None:
        if value:
            table.add_row(name, escape(value), style=style)

    row("version", f"{found.version}  ({made.origin}, {made.created_at})")
    row("stage", state.stage + (f": {_serving(state.serving)}" if state.serving else ""))
    row("gate", state.verdict or "no gate was run", _VERDICT_STYLES.get(state.verdict or "", ""))
    if made.base:
        row("base", f"{made.base.path or '?'}  config {_short(made.base.config_sha256)}, weights "
            f"{_short(made.base.weights_sha256)}")  # fmt: skip
    if made.adapter:
        targets = ", ".join(made.adapter.targets)
        row("adapter", f"rank {made.adapter.rank}, alpha {made.adapter.alpha:g}, on {targets}")
    row("weights", f"sha256 {made.weights_sha256}")
    if made.data:
        row("data", f"{made.data.path}  {made.data.rows} rows, {_short(made.data.sha256)}")
    for curve, title in (("curve", "training loss"), ("evaluations", "held-out loss")):
        points = losses(made.run, curve)
        if points:
            row(title, f"{points[0]:.4f} -> {points[-1]:.4f}  (least {min(points):.4f})  {sparkline(points)}")
    row("settings", ", ".join(f"{name} {_value(value)} ({where})" for name, value, where in _settings(made)))
    row("made with", ", ".join(f"{name} {version}" for name, version in sorted(made.versions.items())))
    for export in state.exports:
        row("exported", f"{export['at']} to {export.get('to')}")
    for event in state.history:
        facts = {name: value for name, value in event.facts.items() if name != "lineage_sha256"}
        row(
            "event",
            f"{event.at} {event.event} " + ", ".join(f"{name}={_value(value)}" for name, value in facts.items()),
        )
    row("files", "every byte as it was written" if not found.problems else "")
    for problem in found.problems:
        row("changed", problem, "red")
    row("folder", found.folder)
    return table


def _line(registry: Registry, version: Version, states: dict[str, State]) -> Listed:
    state = states.get(version.id, UNTOUCHED)
    try:
        made = registry.lineage(version)
    except RegistryError as error:
        return Listed(
            version.id, state.stage, None, None, None, None, None, state.verdict, state.serving, problem=str(error)
        )
    return Listed(
        version.id,
        state.stage,
        made.created_at,
        made.origin,
        made.base.path.rstrip("/").rsplit("/", 1)[-1] if made.base else None,
        made.adapter.rank if made.adapter else None,
        loss_of(made.run),
        state.verdict,
        state.serving,
    )


def _settings(made: Lineage) -> list[tuple[str, Any, str]]:
    """The settings that somebody set, with where; the rest are defaults, and in --json."""
    flat = dict(_flat("", made.settings))
    return [
        (name, flat[name], str(where))
        for name, where in sorted(made.provenance.items())
        if where != "default" and name in flat
    ]


def _flat(prefix: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [pair for name, part in value.items() for pair in _flat(f"{prefix}.{name}" if prefix else name, part)]
    return [(prefix, value)]


def _serving(serving: tuple[Serving, ...]) -> str:
    return ", ".join(f"{place.alias} on {place.backend} {place.share:.0%}" for place in serving)


def _verdict(verdict: str | None) -> str:
    style = _VERDICT_STYLES.get(verdict or "")
    return f"[{style}]{verdict}[/]" if style else escape(verdict or "-")


def _short(digest: str | None) -> str:
    return "not recorded" if not digest else digest.removeprefix("sha256:")[:12]


def _value(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
