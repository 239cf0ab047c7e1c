"""The folder where everything that is installed and made is kept."""

from __future__ import annotations

import os
from pathlib import Path


class HomeError(RuntimeError):
    """The folder cannot be made or written; the message says why."""


def require_home(home: Path) -> Path:
    """`home` as an absolute path, made if it was missing. Raises `HomeError` when it cannot be used."""
    home = home.absolute()
    mend = "choose another folder with --home or CROSSOVER_HOME"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise HomeError(f"{home} is, or lies under, a file: {mend}") from None
    except OSError as error:
        raise HomeError(f"{home} cannot be made ({error.strerror}): {mend}") from None
    if not os.access(home, os.W_OK | os.X_OK):
        raise HomeError(f"{home} cannot be written: make it writable, or {mend}")
    return home
