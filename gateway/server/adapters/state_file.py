"""Published generations, remembered over a restart: one small JSON file, replaced as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from gateway.routing.deployment import Deployment, Served

SCHEMA = 1
MAX_BYTES = 1024 * 1024


class Remembered(msgspec.Struct, frozen=True):
    """One deployment. `policy`: what the policy named for this alias and backend then: once the policy names something
    else, somebody has decided anew, and the policy holds."""

    alias: str
    backend: str
    policy: Served
    deployment: Deployment


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
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"adapters.state {path} is not what this gateway writes ({error}): {_MEND}") from None
    return read.deployments


_MEND = "mend it, or move it away: then the generations of the policy serve"


def write_state(path: Path, deployments: Iterable[Remembered]) -> None:
    """Whole or not at all, and on the disk when it returns. Raises OSError."""
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
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
