"""A version of the registry becomes a folder that Bedrock Custom Model Import reads as it is meant, or nothing does."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from trainer.environment import run_module
from trainer.export.cmi import check, other_files
from trainer.export.finding import Finding, errors
from trainer.export.layout import INDEX_FILE, LayoutError, read_file, read_weights
from trainer.export.updates import MergeError, updates
from trainer.registry import Registry, Version
from trainer.registry.adapter_files import read_config
from trainer.registry.durable import copy_file, sha256_of_file, sync_folder, write_file
from trainer.registry.staging import clean, staged

SCHEMA = 1


class ExportError(Exception):
    """An export that was not made; the message says why and what to do. Nothing is left behind."""


class ExportRefusedError(ExportError):
    """Bedrock would refuse or misread it. `findings` holds all that was found, warnings too."""

    def __init__(self, about: str, findings: list[Finding]) -> None:
        count = sum(finding.severity == "error" for finding in findings)
        super().__init__(f"{about}: {count} reasons against it\n" + "\n".join(f"  - {finding}" for finding in findings))
        self.findings = findings


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """The record of an export: `FOLDER.export.json` beside the folder, so that nothing foreign is in what is uploaded.

    `files`: SHA-256 by name. `merge` and `logits`: what trainer.export.merge and trainer.export.logits measured;
    `logits` is null when that was not asked for.
    """

    schema: int = SCHEMA
    version: str
    folder: str
    base: str
    adapter_sha256: str
    bytes: int
    files: dict[str, str]
    findings: list[Finding]
    allowed: list[str]
    merge: dict[str, Any]
    logits: dict[str, Any] | None
    seconds: float


def export(
    registry: Registry,
    version: Version,
    to: Path,
    *,
    python: Path,
    base: Path | None = None,
    logits: bool = True,
    allowed: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Merge `version` into its base, check the result, and put it at `to`, whole. Done before: what was done, checked.

    `base`: where the base is now, if it has moved. `allowed`: codes of findings that do not forbid the export.
    Raises ExportRefusedError and ExportError; RegistryError for a lineage that cannot be read.
    """
    started = time.monotonic()
    to = to.absolute()
    if to.resolve().is_relative_to(registry.root.resolve()):
        raise ExportError(f"{to} lies in the registry {registry.root}, which holds versions only: give another folder")
    made = registry.lineage(version)
    problems = registry.verify(version)
    if problems:
        raise ExportError(f"{version} is no longer what was put into the registry: {'; '.join(problems)}")
    folder = _base_of(version, made.base.path if made.base else None, base)
    if made.base and made.base.config_sha256 not in (None, sha256_of_file(folder / "config.json")):
        raise ExportError(
            f"{folder} is not the base that {version} was made for: its config.json has another hash; name the right "
            "folder with --base, or train again on this one"
        )
    if (there := _already_there(to, version, made.weights_sha256, folder)) is not None:
        say(f"{to} is the export of {version} already, every byte")
        return there

    findings = check(folder)
    if errors(findings, allowed):
        raise ExportRefusedError(f"{folder}, the base of {version}, cannot be exported", findings)
    _require_mergeable(version, folder)
    to.parent.mkdir(parents=True, exist_ok=True)
    clean(to.parent)
    _require_room(to.parent, folder)

    with staged(to.parent) as work, tempfile.TemporaryDirectory() as results:
        say(f"merging {version} into {folder}")
        merged = _run(
            python,
            "trainer.export.merge",
            {"--base": folder, "--adapter": version.adapter, "--output": work},
            Path(results) / "merge.json",
        )
        if made.base and made.base.weights_sha256 not in (None, _weights_hash(merged["base_sha256"])):
            raise ExportError(
                f"the weights in {folder} are not those that {version} was trained on (their hashes differ); name the "
                "right folder with --base"
            )
        hashes = dict(merged["merged_sha256"])
        for name in other_files(folder):
            hashes[name] = copy_file(folder / name, work / name)
        sync_folder(work)
        findings = check(work, folder)
        if errors(findings, allowed):
            raise ExportRefusedError(f"the merge of {version}", findings)
        compared = (
            _logits(python, version, folder, work, made.data.path if made.data else None, results, say)
            if logits
            else None
        )
        record = Exported(
            version=version.id,
            folder=str(to),
            base=str(folder),
            adapter_sha256=made.weights_sha256,
            bytes=sum((work / name).stat().st_size for name in hashes),
            files=dict(sorted(hashes.items())),
            findings=findings,
            allowed=list(allowed),
            merge=merged,
            logits=compared,
            seconds=round(time.monotonic() - started, 2),
        )
        # First the record, then the folder: a folder with this name always has its record.
        write_file(record_of(to), msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
        try:
            work.rename(to)
        except OSError as error:
            record_of(to).unlink(missing_ok=True)  # it would tell of an export that is not there
            raise ExportError(f"{to} cannot be put in place: {error.strerror}") from None
        sync_folder(to.parent)
    registry.note(
        version, "exported", to=str(to), bytes=record.bytes, sha256=sha256_of_file(record_of(to)),
        logits_checked=compared is not None,
    )  # fmt: skip
    return record


def record_of(folder: Path) -> Path:
    """Where the record of the export in `folder` is."""
    return folder.with_name(folder.name + ".export.json")


def _base_of(version: Version, recorded: str | None, given: Path | None) -> Path:
    folder = given if given is not None else Path(recorded) if recorded else None
    if folder is None or not (folder / "config.json").is_file():
        raise ExportError(f"the base of {version} is not at {folder}: name its folder with --base")
    return folder.absolute()


def _already_there(to: Path, version: Version, adapter_sha256: str, base: Path) -> Exported | None:
    """The record of a finished export of this version at `to`; None when there is nothing. Raises for anything else."""
    if not to.exists():
        return None
    try:
        record = msgspec.json.decode(record_of(to).read_bytes(), type=Exported)
    except (OSError, msgspec.DecodeError):
        raise ExportError(f"{to} exists and is no export of this program: give another folder, or remove it") from None
    same = (record.version, record.adapter_sha256, record.base) == (version.id, adapter_sha256, str(base))
    whole = same and {file.name for file in to.iterdir()} == set(record.files)
    if not whole or any(sha256_of_file(to / name) != digest for name, digest in record.files.items()):
        held = record.version if not same else f"{record.version}, changed since"
        raise ExportError(f"{to} holds an export of {held}: give another folder, or remove it with its .export.json")
    return record


def _require_mergeable(version: Version, base: Path) -> None:
    try:
        config = json.loads((base / "config.json").read_text())
        updates(
            read_config(version.adapter),
            read_file(version.adapter / "adapter_model.safetensors"),
            read_weights(base),
            tied=bool(config.get("tie_word_embeddings")),
        )
    except (MergeError, LayoutError) as error:
        raise ExportError(f"{version}: {error}") from None


def _require_room(folder: Path, base: Path) -> None:
    need = sum(
        file.stat().st_size for file in base.iterdir() if file.suffix == ".safetensors" or file.name == INDEX_FILE
    )
    free = shutil.disk_usage(folder).free
    if free < need * 1.02 + (64 << 20):
        raise ExportError(f"{folder} has {free / 1e9:.1f} GB free, and the merge needs {need / 1e9:.1f} GB")


def _logits(
    python: Path, version: Version, base: Path, work: Path, rows: str | None, results: str, say: Callable[[str], None]
) -> dict[str, Any]:
    say("comparing logits with base and adapter")
    arguments: dict[str, Path] = {"--base": base, "--adapter": version.adapter, "--merged": work}
    if rows and Path(rows).is_file():
        arguments["--rows"] = Path(rows)
    result = _run(python, "trainer.export.logits", arguments, Path(results) / "logits.json")
    if not result["ok"]:
        raise ExportError(f"the merge of {version} is not its base with the adapter: {'; '.join(result['problems'])}")
    return result


def _run(python: Path, module: str, arguments: dict[str, Path], result: Path) -> dict[str, Any]:
    flat = [str(part) for pair in {**arguments, "--result": result}.items() for part in pair]
    status = run_module(python, module, flat, all_to_stderr=True)
    if not result.exists():
        raise ExportError(f"{module} ended with status {status}; what it said is above")
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def _weights_hash(files: dict[str, str]) -> str:
    """As trainer.registry.lineage.base_of."""
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
