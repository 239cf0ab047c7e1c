"""Published generations, remembered over a restart: one small JSON file, replaced as a whole."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from gateway.routing.deployment import Deployment, Served
from gateway.server.adapters.gate import Gate

log = logging.getLogger(__name__)

NAME = r"^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,63}\Z"
"""Of what is published, as in the policy. Not `$`: that lets a line's end pass, and a name goes into a header."""
SCHEMA = 1
MAX_BYTES = 1024 * 1024


class Remembered(msgspec.Struct, frozen=True):
    """One deployment. `policy`: what the policy named for this alias and backend then: once the policy names something
    else, somebody has decided anew, and the policy holds."""

    alias: str
    backend: str
    policy: Served
    deployment: Deployment
    gates: dict[str, Gate] = {}
    """By model name: what the quality gate said."""


class _File(msgspec.Struct, frozen=True):
    schema: int
    deployments: tuple[Remembered, ...]


_decode = msgspec.json.Decoder(_File).decode


def read_state(path: Path) -> tuple[Remembered, ...]:
    """Empty when there is no file. Raises ValueError for one that cannot be read, with the mend."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ValueError(f"adapters.state {path} cannot be read ({error.strerror}): {_MEND}") from None
    try:
        read = _decode(content)
        if read.schema != SCHEMA:
            raise msgspec.ValidationError(f"schema is {read.schema}, this version knows {SCHEMA}")
        for one in read.deployments:
            canary = one.deployment.canary
            if canary is not None and not 0 < canary.share < 1:
                raise msgspec.ValidationError(f"a canary's share is {canary.share}")
            for served in one.deployment.all:
                if served != one.policy and not all(re.match(NAME, name) for name in (served.model, str(served))):
                    raise msgspec.ValidationError(f"{served.model!r} with {served.generation!r} is no published name")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"adapters.state {path} is not what this gateway writes ({error}): {_MEND}") from None
    return read.deployments


_MEND = "mend it, or move it away: then the generations of the policy serve"


def write_state(path: Path, deployments: Iterable[Remembered]) -> None:
    """Whole or not at all, and on the disk when it returns. Raises OSError: the file is then as it was."""
    content = msgspec.json.format(msgspec.json.encode(_File(SCHEMA, tuple(deployments))), indent=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(content + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    try:
        sync_folder(path.parent)
    except OSError as error:  # the new file is in place, and was synced itself: to call it unchanged would be wrong
        log.warning(
            "%s was replaced, and its folder could not be synced (%s): after a power cut the file before may be back",
            path, error.strerror or error,
        )  # fmt: skip


def sync_folder(folder: Path) -> None:
    """Waits until the folder's list of names is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
