"""A finished run as the registry takes it: the adapter's folder, the record and everything that lineage needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from trainer.registry.durable import sha256_of_file
from trainer.train.record import FILE, Record, read_record


class UnfinishedRunError(ValueError):
    """The folder does not hold a finished run, or its adapter is not the one that was written."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """`adapter`: folder in peft's format. `files`: what a version keeps besides it. Paths are absolute."""

    name: str
    folder: Path
    adapter: Path
    record: Record
    files: tuple[Path, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting by dotted name."""
        return {name: entry["value"] for name, entry in self.record.settings.items()}

    @property
    def provenance(self) -> dict[str, str]:
        """`file`, `default` or `command line`, by the same names."""
        return {name: str(entry["source"]) for name, entry in self.record.settings.items()}

    @property
    def base(self) -> Path:
        return Path(str(self.record.base["path"]))

    @property
    def data(self) -> dict[str, Any]:
        """path, sha256 (hexadecimal digits), rows."""
        data = self.record.data
        return {
            "path": data["path"],
            "sha256": str(data["sha256"]).removeprefix("sha256:"),
            "rows": data["rows"],
        }

    @property
    def versions(self) -> dict[str, str]:
        """Of torch and the rest; what was not there is left out."""
        return {name: version for name, version in self.record.versions.items() if version is not None}

    @property
    def run(self) -> dict[str, Any]:
        """The record as JSON values, without what the other properties say."""
        said_elsewhere = {"settings", "versions", "base", "schema"}
        return {name: value for name, value in msgspec.to_builtins(self.record).items() if name not in said_elsewhere}


def finished_run(run_dir: str | Path) -> FinishedRun:
    """What is in `run_dir`. Raises UnfinishedRunError where the run has not ended, or its adapter was changed since."""
    folder = Path(run_dir).absolute()
    try:
        record = read_record(folder)
    except (OSError, msgspec.DecodeError) as error:
        raise UnfinishedRunError(f"{folder / FILE} cannot be read: {error}") from None
    adapter = folder / "adapter"
    if record.state != "finished" or not adapter.is_dir():
        raise UnfinishedRunError(
            f"{folder} is {record.state} after step {record.totals.steps} of {record.planned_steps}: "
            "run `crossover adapter train` with its settings again"
        )
    for name, digest in record.adapter["files"].items():
        file = adapter / name
        if not file.is_file() or sha256_of_file(file) != digest:
            raise UnfinishedRunError(f"{file} is not what the run wrote: train again, with --fresh")
    plot = folder / "loss.png"
    return FinishedRun(record.name, folder, adapter, record, (plot,) if plot.is_file() else ())
