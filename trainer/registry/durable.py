"""Bytes that survive a power cut: what is written is on the disk before anyone is told of it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def write_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a new file, or one in a folder nobody sees yet, and wait for the disk."""
    path.unlink(missing_ok=True)  # it may be read-only by now
    with path.open("xb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())


def copy_file(source: Path, target: Path, mode: int = 0o644) -> str:
    """Copy one file and wait for the disk. Returns the SHA-256 of what was copied, in hex."""
    digest = hashlib.sha256()
    with source.open("rb") as read, target.open("xb") as write:
        while block := read.read(1 << 20):
            digest.update(block)
            write.write(block)
        os.fchmod(write.fileno(), mode)
        write.flush()
        os.fsync(write.fileno())
    return digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """Wait until the folder's list of names is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
