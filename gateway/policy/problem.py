"""What is wrong with a settings file, and where. A problem never holds a secret's value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

PathInPolicy: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One error: the place (lines and columns count from 1), the value found, what is wrong, how to mend it."""

    file: str
    line: int
    column: int
    path: str
    value: str | None
    message: str
    mend: str | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        subject = f"{self.path}: " if self.path else ""
        found = f" (got {self.value})" if self.value is not None else ""
        mend = f"; {self.mend}" if self.mend else ""
        return f"{where}{subject}{self.message}{found}{mend}"

    def as_dict(self) -> dict[str, str | int | None]:
        return asdict(self)


class SettingsError(ValueError):
    """A settings file cannot be used. `problems` holds every error found, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.column, p.path)))
        super().__init__("\n".join(map(str, self.problems)))


class PolicyError(SettingsError):
    """The policy file cannot be used."""


def dotted(path: PathInPolicy) -> str:
    """('auth', 'keys', 0, 'env') as 'auth.keys[0].env'; a name that holds a dot as '["llama3.1"]'."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        elif "." in part:
            out += f'["{part}"]'
        else:
            out += f".{part}" if out else part
    return out
