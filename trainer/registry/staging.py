"""A folder that becomes visible by one rename, or never.

A writer works in a hidden folder beside the versions and holds a lock on it; the lock ends with the writer's life.
So whoever can take the lock of a hidden folder knows that its writer is dead, and removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = ".crossover-unfinished-"


@contextmanager
def staged(parent: Path) -> Iterator[Path]:
    """A new hidden folder in `parent`. What is still hidden at the end of the block is removed."""
    while True:
        folder = parent / f"{PREFIX}{secrets.token_hex(8)}"
        folder.mkdir()
        # Until it is locked a cleaner may take it for a dead writer's: then another one is made.
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if folder.exists():
            break
        os.close(descriptor)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def claim(folder: Path, target: Path) -> bool:
    """Rename `folder` to `target`, at once and whole. False when another writer has taken that name."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def clean(parent: Path) -> list[Path]:
    """Remove hidden folders whose writers are dead. Returns those removed."""
    removed = []
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)  # by its hidden name: a folder that was claimed meanwhile has another
            removed.append(folder)
        except OSError:  # its writer lives, or it is gone
            continue
        finally:
            os.close(descriptor)
    return removed
