"""What is wrong with files that belong together, each mistake with its file and line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MOST_SHOWN = 100
"""Lines of one error message; `CorpusError.problems` holds all of them."""


@dataclass(frozen=True, slots=True)
class FileProblem:
    """One error: the file, the line (from 1; 0 for the whole file), what is wrong, how to mend it."""

    file: str
    line: int
    message: str
    mend: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.message}; {self.mend}"


class CorpusError(ValueError):
    """A corpus cannot be read. `problems` holds every error found, by file and line."""

    def __init__(self, problems: Iterable[FileProblem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line)))
        shown = [str(problem) for problem in self.problems[:MOST_SHOWN]]
        if len(self.problems) > MOST_SHOWN:
            shown.append(f"and {len(self.problems) - MOST_SHOWN} more errors like these")
        super().__init__("\n".join(shown))
