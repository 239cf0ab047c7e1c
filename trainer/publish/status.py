"""What serves, as the gateway says it, beside what the model server has loaded."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.table import Table

from trainer.publish.errors import PublishError, UnreachableError
from trainer.publish.place import Place


class Row(msgspec.Struct, frozen=True):
    """One generation of one alias on one backend. `loaded`: null where the model server is another one, or cannot be
    asked; `share`: of the requests."""

    alias: str
    backend: str
    role: str
    model: str
    generation: str | None
    share: float
    in_flight: int | None
    loaded: bool | None
    note: str | None


class Status(msgspec.Struct, frozen=True):
    """`unused`: adapters that the model server holds and no alias wants. `unreachable`: why it could not be asked."""

    adapters: tuple[Row, ...]
    unused: tuple[str, ...]
    unreachable: str | None


def status(place: Place) -> Status:
    """Raises PublishError when the gateway cannot be asked."""
    try:
        states = place.gateway.states()
    except UnreachableError as error:
        raise PublishError("gateway", f"{error}. Start the gateway, or say where it is with --gateway") from None
    held: dict[str, str | None] | None = None
    unreachable = None
    try:
        held = place.server.loaded()
    except (UnreachableError, PublishError) as error:
        unreachable = str(error)
    rows = [
        row for state in states for target in state["backends"] for row in _rows(place, state["alias"], target, held)
    ]
    named = {target["policy"]["model"] for state in states for target in state["backends"]}
    wanted = named | {row.model for row in rows}
    unused = sorted(model for model in held or {} if "@" in model and model not in wanted)
    return Status(tuple(rows), tuple(unused), unreachable)


def _rows(place: Place, alias: str, target: dict[str, Any], held: dict[str, str | None] | None) -> list[Row]:
    ours = target["backend"] in (place.sharing or {place.backend})
    share = 0.0 if target["canary"] is None else target["canary"]["share"]
    roles = [("live", target["live"], 1.0 - share), ("canary", target["canary"], share)]
    roles += [("previous", target["previous"], 0.0), *(("draining", one, 0.0) for one in target["draining"])]
    return [
        Row(
            alias, target["backend"], role, served["model"], served["generation"], part, served.get("in_flight"),
            served["model"] in held if ours and held is not None else None,
            target["excluded"] if role == "live" else None,
        )
        for role, served, part in roles
        if served is not None
    ]  # fmt: skip


def status_table(found: Status) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("Alias", "Backend", "", "Generation", "Share", "Under way", "Loaded", ""):
        table.add_column(title)
    for row in found.adapters:
        loaded = {True: "yes", False: "[red]no[/red]", None: "-"}[row.loaded]
        table.add_row(
            row.alias, row.backend, row.role, row.generation or "base weights", f"{row.share:.0%}",
            "-" if row.in_flight is None else str(row.in_flight), loaded,
            "" if row.note is None else f"gets no requests: {row.note}",
        )  # fmt: skip
    return table
