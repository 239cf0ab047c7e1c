"""What happened to the versions of one adapter: lines of JSON that are only ever added to."""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from trainer.registry.durable import sync_folder
from trainer.registry.errors import RegistryError
from trainer.registry.version import parse_id

FILE = "events.jsonl"

NEEDED: Mapping[str, tuple[str, ...]] = {
    "added": (),
    "gated": ("verdict",),
    "exported": ("to",),
    "canary": ("alias", "backend", "share"),
    "published": ("alias", "backend"),
    "promoted": ("alias", "backend"),
    "rolled_back": ("alias", "backend"),
    "retired": (),
}
"""The events, and the facts each must carry. Others may be added: they are kept and shown."""

VERDICTS = ("pass", "fail", "undecided")


class EventWarning(UserWarning):
    """A line of the events that cannot be read; the others are used."""


class Event(msgspec.Struct, frozen=True):
    """One line. `at` is UTC in ISO 8601, `version` like handbook@v0007; `facts` is everything else on the line."""

    at: str
    version: str
    event: str
    facts: dict[str, Any]


def check(event: str, facts: Mapping[str, Any]) -> None:
    """Raises ValueError for an event that is unknown or lacks a fact, before anything is written."""
    if event not in NEEDED:
        raise ValueError(f"{event!r} is no event of a version: {', '.join(NEEDED)}")
    missing = [name for name in NEEDED[event] if facts.get(name) is None]
    if missing:
        raise ValueError(f"the event {event!r} needs {', '.join(missing)}")
    if event == "gated" and facts["verdict"] not in VERDICTS:
        raise ValueError(f"verdict is {facts['verdict']!r}: it must be one of {', '.join(VERDICTS)}")
    if event == "canary" and not 0 < facts["share"] < 1:
        raise ValueError(f"a canary's share is {facts['share']}: it must lie between 0 and 1")
    if reserved := {"at", "version", "event"} & set(facts):
        raise ValueError(f"facts of an event cannot be called {', '.join(sorted(reserved))}")


def append(file: Path, event: Event) -> None:
    """Add one line, in one write, and wait for the disk. Safe between processes and against a death in the middle."""
    line = msgspec.json.encode({"at": event.at, "version": event.version, "event": event.event, **event.facts}) + b"\n"
    new = not file.exists()
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line  # a writer died within its line: leave it alone, and do not join it
        if os.write(descriptor, line) != len(line):
            raise OSError(f"{file}: the disk took a part of an event only")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if new:
        sync_folder(file.parent)


def read(file: Path) -> list[Event]:
    """All events in order.

    A line that a dying writer left torn, or that says what cannot be, is passed over with an EventWarning: one line
    must not hide the others. Events that are not known are kept: a newer program wrote them.
    """
    try:
        lines = file.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    events = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        where = "the last line" if number == len(lines) else f"line {number}"
        try:
            event = _event(msgspec.json.decode(line, type=dict[str, Any]))
            _require_possible(event)
            events.append(event)
        except (RegistryError, RecursionError, TypeError, ValueError) as error:
            if not isinstance(error, msgspec.DecodeError):
                warnings.warn(f"{file}: {where} cannot be: {error}; it is ignored", EventWarning, stacklevel=2)
                continue
            warnings.warn(
                f"{file}: {where} is torn ({line[:40]!r}...): its writer died; it is ignored",
                EventWarning,
                stacklevel=2,
            )
    return events


def _event(fields: dict[str, Any]) -> Event:
    at, version, event = (fields.pop(name, None) for name in ("at", "version", "event"))
    if not (isinstance(at, str) and isinstance(version, str) and isinstance(event, str)):
        raise TypeError("an event needs at, version and event, each a text")
    return Event(at, version, event, facts=fields)


def _require_possible(event: Event) -> None:
    """Raises RegistryError, ValueError or TypeError for an event that `append` was never given."""
    parse_id(event.version)
    if event.event in NEEDED:
        check(event.event, event.facts)
