"""One thing that is wrong, or may be, with a model folder that is to be imported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """`error`: the import would fail, or worse, give a model that answers wrongly. `code` names it for `--allow`."""

    severity: Literal["error", "warning"]
    code: str
    what: str
    why: str
    mend: str

    def __str__(self) -> str:
        return f"{self.severity} [{self.code}]: {self.what}. {self.why}. Mend: {self.mend}."


def error(code: str, what: str, why: str, mend: str) -> Finding:
    return Finding("error", code, what, why, mend)


def warning(code: str, what: str, why: str, mend: str) -> Finding:
    return Finding("warning", code, what, why, mend)


def errors(findings: Iterable[Finding], allowed: Sequence[str] = ()) -> list[Finding]:
    """Those that forbid an export, less the codes that somebody allowed by name."""
    return [finding for finding in findings if finding.severity == "error" and finding.code not in allowed]


def some(names: Iterable[str], most: int = 3) -> str:
    """A few of many names, and how many more there are."""
    listed = sorted(names)
    rest = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {rest} more" if rest > 0 else "")
