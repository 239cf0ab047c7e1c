"""A folder of adapters: immutable numbered versions, each with its lineage, and the events of each name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from trainer.registry import adapter_files, events, lineage, state
from trainer.registry.durable import copy_file, sha256_of_file, sync_folder, write_file
from trainer.registry.errors import RegistryError
from trainer.registry.events import Event
from trainer.registry.lineage import Lineage
from trainer.registry.staging import claim, clean, staged
from trainer.registry.state import State
from trainer.registry.version import Version, folder_name, is_name, number_of, parse_id, require_name, version_id

_READ_ONLY = 0o444


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Registry:
    """Versions of adapters under `root`. Several processes may use it at once, on one machine's file system.

    A version appears whole, by one rename, after everything in it is on the disk; a process that dies before that
    leaves nothing that can be seen, and the next `add` removes what it left hidden. Nothing here changes a version.
    """

    def __init__(self, root: Path, *, now: Callable[[], datetime] = _utc_now) -> None:
        self.root = root
        self._now = now

    def add(self, name: str, adapter_dir: Path, made: Lineage, files: Iterable[Path] = ()) -> Version:
        """Take in the adapter of `adapter_dir` as the next version of `name`; `files` are kept beside it (loss.png).

        Raises RegistryError for a folder that holds no whole LoRA adapter in peft's form.
        """
        require_name(name)
        config = adapter_files.read_config(adapter_dir)
        adapter_files.require_whole(adapter_dir)
        extras = list(files)
        if taken := {file.name for file in extras} & {lineage.FILE, "adapter"}:
            raise RegistryError(f"a version has its own {', '.join(taken)}: give that file another name")
        parent = self.root / name
        parent.mkdir(parents=True, exist_ok=True)
        clean(parent)
        with staged(parent) as folder:
            hashes: dict[str, str] = {}
            (folder / "adapter").mkdir()
            for part in (adapter_files.CONFIG, adapter_files.WEIGHTS):
                hashes[f"adapter/{part}"] = copy_file(adapter_dir / part, folder / "adapter" / part, _READ_ONLY)
            for file in extras:
                hashes[file.name] = copy_file(file, folder / file.name, _READ_ONLY)
            sync_folder(folder / "adapter")
            made = msgspec.structs.replace(
                made,
                schema=lineage.SCHEMA,
                created_at=self._timestamp(),
                adapter=adapter_files.shape_of(config),
                weights_sha256=hashes[f"adapter/{adapter_files.WEIGHTS}"],
                files=hashes,
            )
            while True:  # until no other writer is quicker
                number = self._next_number(name)
                content = lineage.encode(msgspec.structs.replace(made, version=version_id(name, number)))
                write_file(folder / lineage.FILE, content, _READ_ONLY)
                sync_folder(folder)
                if claim(folder, parent / folder_name(number)):
                    break
            sync_folder(parent)
            sync_folder(self.root)
            version = Version(name, number, parent / folder_name(number))
        self.note(version, "added", lineage_sha256=sha256_of_file(version.folder / lineage.FILE))
        return version

    def names(self) -> list[str]:
        """The adapters that have a version."""
        if not self.root.is_dir():
            return []
        return sorted(entry.name for entry in self.root.iterdir() if is_name(entry.name) and self.versions(entry.name))

    def versions(self, name: str) -> list[Version]:
        """All versions of one adapter, oldest first; none for a name that is not there."""
        parent = self.root / require_name(name)
        if not parent.is_dir():
            return []
        numbers = sorted(
            number for entry in os.scandir(parent) if entry.is_dir() and (number := number_of(entry.name)) is not None
        )
        return [Version(name, number, parent / folder_name(number)) for number in numbers]

    def latest(self, name: str) -> Version:
        """The newest version of an adapter. Raises RegistryError when there is none."""
        versions = self.versions(name)
        if not versions:
            raise RegistryError(f"{self.root} has no adapter called {name}: {self._what_there_is()}")
        return versions[-1]

    def get(self, text: str) -> Version:
        """`handbook@v0007`, or `handbook` for its newest. Raises RegistryError naming what there is."""
        if is_name(text):
            return self.latest(text)
        name, number = parse_id(text)
        versions = self.versions(name)
        for version in versions:
            if version.number == number:
                return version
        there = f"it has {versions[0].id} to {versions[-1].id}" if versions else self._what_there_is()
        raise RegistryError(f"{self.root} has no {text}: {there}")

    def lineage(self, version: Version) -> Lineage:
        """Where a version comes from. Raises RegistryError when its file cannot be read, or is of a newer schema."""
        file = version.folder / lineage.FILE
        try:
            content = file.read_bytes()
        except OSError as error:
            raise RegistryError(f"{version} has no readable {lineage.FILE}: {error}") from None
        return lineage.decode(content, file)

    def note(self, version: Version | str, event: str, **facts: Any) -> Event:
        """Add an event to the history of a version that exists. Raises ValueError for an event that is not known."""
        events.check(event, facts)
        version = self.get(version) if isinstance(version, str) else version
        noted = Event(self._timestamp("microseconds"), version.id, event, facts)
        events.append(self.root / version.name / events.FILE, noted)
        return noted

    def state(self, version: Version | str) -> State:
        """What the version is now. `states` is cheaper for many."""
        version = self.get(version) if isinstance(version, str) else version
        return self.states().get(version.id, state.UNTOUCHED)

    def states(self) -> dict[str, State]:
        """The state of every version that has events, of all adapters: an alias may pass from one to another."""
        if not self.root.is_dir():
            return {}
        folders = sorted(entry for entry in self.root.iterdir() if is_name(entry.name) and entry.is_dir())
        return state.fold(state.in_order(events.read(folder / events.FILE) for folder in folders))

    def verify(self, version: Version | str) -> list[str]:
        """What is no longer as it was written, one sentence each; an empty list when every byte is."""
        version = self.get(version) if isinstance(version, str) else version
        try:
            made = self.lineage(version)
        except RegistryError as error:
            return [str(error)]
        problems = []
        if made.version != version.id:
            problems.append(f"{version.folder} holds the lineage of {made.version}")
        added = [event for event in self.state(version).history if event.event == "added"]
        if added and added[-1].facts.get("lineage_sha256") != sha256_of_file(version.folder / lineage.FILE):
            problems.append(f"{version}: {lineage.FILE} is not what was written when it was added")
        for name, wanted in made.files.items():
            file = version.folder / name
            if not file.is_file():
                problems.append(f"{version}: {name} is missing")
            elif (found := sha256_of_file(file)) != wanted:
                problems.append(f"{version}: {name} has SHA-256 {found[:12]}..., and {wanted[:12]}... was written")
        here = {str(file.relative_to(version.folder)) for file in version.folder.rglob("*") if file.is_file()}
        problems += [
            f"{version}: {name} was put there later" for name in sorted(here - set(made.files) - {lineage.FILE})
        ]
        return problems

    def _next_number(self, name: str) -> int:
        """One past every number that is, or ever was: a name that was served must never mean other weights."""
        there = [version.number for version in self.versions(name)]
        once = [parse_id(event.version)[1] for event in events.read(self.root / name / events.FILE)]
        return max((*there, *once), default=0) + 1

    def _timestamp(self, finest: str = "milliseconds") -> str:
        """Events of two adapters are put in order by their times alone: theirs are finer."""
        return self._now().astimezone(UTC).isoformat(timespec=finest).replace("+00:00", "Z")

    def _what_there_is(self) -> str:
        names = self.names()
        return f"it has {', '.join(names)}" if names else "it is empty"
