"""A stamp file in a folder says what the folder was made from; it is written last, so a half-made folder has none."""

import hashlib
import json
import sys
from pathlib import Path

_STAMP_NAME = ".made-from.json"


def fingerprint(*parts: str | Path) -> str:
    """SHA-256 over the parts in order: a string stands for itself, a path for the bytes of its file."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode()
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()


def python_version() -> str:
    """The interpreter's version and platform, as a part of a fingerprint."""
    return f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor} {sys.platform}"


def is_current(folder: Path, made_from: str) -> bool:
    """True when the folder was finished, and from exactly these parts."""
    try:
        stamp = json.loads((folder / _STAMP_NAME).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(stamp, dict) and stamp.get("made_from") == made_from


def mark(folder: Path, made_from: str) -> None:
    """Call when the folder is complete. The file appears whole or not at all."""
    unfinished = folder / (_STAMP_NAME + ".tmp")
    unfinished.write_text(json.dumps({"made_from": made_from}))
    unfinished.replace(folder / _STAMP_NAME)
