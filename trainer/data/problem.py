"""What is wrong with a file of rows, line by line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MOST_SHOWN = 100
"""Lines of one error message; `DataError.problems` holds all of them."""


@dataclass(frozen=True, slots=True)
class LineProblem:
    """One error: the line (from 1; 0 for the file as a whole), what is wrong, how to mend it."""

    line: int
    message: str
    mend: str

    def __str__(self) -> str:
        return f"{self.message}; {self.mend}"


class DataError(ValueError):
    """The rows cannot be learned from. `problems` holds every error found, in the order of the file."""

    def __init__(self, file: Path | str, problems: Iterable[LineProblem]) -> None:
        self.file = str(file)
        self.problems = tuple(problems)
        shown = [f"{self.file}:{p.line}: {p}" if p.line else f"{self.file}: {p}" for p in self.problems[:MOST_SHOWN]]
        if len(self.problems) > MOST_SHOWN:
            shown.append(f"{self.file}: and {len(self.problems) - MOST_SHOWN} more errors like these")
        super().__init__("\n".join(shown))
