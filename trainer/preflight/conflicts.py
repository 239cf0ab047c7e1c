"""What uv says about packages that do not go together, as pairs. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_REQUIRES = re.compile(r"^The package `(?P<who>[^`]+)` requires `(?P<wants>[^`]+)`, but (?P<has>.+)$")
_DEPENDS = re.compile(
    r"(?:Because|And because|and) (?P<who>[A-Za-z0-9._\-\[\]]+)(?P<whose>[<>=!]=?[^ ]+)? depends on "
    r"(?P<wants>[A-Za-z0-9._\-\[\]]+(?:[<>=!~]=?[^ ]*)?)"
)
_ONE_OF = re.compile(
    r"(?P<who>[A-Za-z0-9._\-\[\]]+)(?P<whose>[<>=!]=?[^ ]+)? depends on one of:\s*(?P<wants>[^:]*?)\s+and\b"
)
_PYTHON = re.compile(r"(?P<who>[A-Za-z0-9._\-\[\]]+==[^ ]+) depends on Python(?P<wants>[<>=!~]=?[^ ,]+)")
_NETWORK = (
    "error sending request", "Failed to fetch", "dns error", "Could not connect", "Connection refused",
    "network was disabled", "operation timed out", "timed out", "Network connectivity is disabled",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Conflict:
    """`who` asks for `wants`; what is there is `has`."""

    who: str
    wants: str
    has: str
    line: str


def installed_conflicts(checked: str) -> list[Conflict]:
    """From `uv pip check`."""
    matches = (_REQUIRES.match(line.strip()) for line in checked.splitlines())
    return [Conflict(match["who"], match["wants"], match["has"], match[0]) for match in matches if match]


def unreachable(said: str) -> bool:
    """Whether uv stopped because no index answered: then nothing is known."""
    return any(sign in said for sign in _NETWORK)


def resolver_conflict(said: str, pinned: dict[str, str]) -> Conflict | None:
    """The pair in uv's "No solution found", given the versions that were pinned. None: it says something else."""
    if "No solution found" not in said and "unsatisfiable" not in said:
        return None
    flat = " ".join(said.split())
    sentence = re.split(r"(?:, we can conclude| And because)", flat.split("Because", 1)[-1])[0]
    line = "Because" + sentence.rstrip(" .,") + "."
    line = line if len(line) <= 300 else line[:299] + "…"
    if match := _PYTHON.search(flat):
        return Conflict(match["who"], "Python" + match["wants"], "another Python", line)
    if match := _ONE_OF.search(flat):
        kinds = match["wants"].split()
        name = re.split(r"[<>=!~]", kinds[0])[0] if kinds else ""
        return Conflict(match["who"] + _exactly(match["whose"]), _span(kinds), _pin(name, pinned), line)
    for match in _DEPENDS.finditer(flat):
        name = re.split(r"[<>=!~\[]", match["wants"])[0]
        if name in pinned:
            return Conflict(match["who"] + _exactly(match["whose"]), match["wants"], _pin(name, pinned), line)
    if match := _DEPENDS.search(flat):
        return Conflict(match["who"] + _exactly(match["whose"]), match["wants"], "something else asks otherwise", line)
    return Conflict("the requirements", "each other's versions", "none that fits", line)


def _exactly(whose: str | None) -> str:
    return "" if whose is None else " " + whose.removeprefix("==").removeprefix(">=")


def _pin(name: str, pinned: dict[str, str]) -> str:
    return f"{name} {pinned[name]} is here" if name in pinned else "something else asks otherwise"


def _span(kinds: list[str]) -> str:
    """uv lists the gaps between excluded releases one by one: the ends tell enough."""
    if len(kinds) <= 1:
        return "".join(kinds)
    name, low = re.match(r"([A-Za-z0-9._\-\[\]]+)(.*)", kinds[0].rstrip(",")).groups()  # type: ignore[union-attr]
    high = re.findall(r"<=?[\w.]+", " ".join(kinds))
    start = re.findall(r">=?[\w.]+", low)
    return name + ",".join([*start[:1], *high[-1:]])
