"""From an exception's record to the packages at fault and the one line that means something. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = Sequence[Mapping[str, Any]]
"""An exception's chain, the root first: type, text, and frames as file:line. See inside/probe_events.py."""

_SITE = re.compile(r"/(?:site|dist)-packages/([A-Za-z0-9_]+)")
_MISSING = (
    re.compile(r"cannot import name '(?P<what>[^']+)' from (?:partially initialized module )?'(?P<module>[\w.]+)'"),
    re.compile(r"module '(?P<module>[\w.]+)' has no attribute '(?P<what>\w+)'"),
    re.compile(r"No module named '(?P<module>[\w.]+)'(?P<what>)"),
)
# Modules whose distribution is called otherwise.
_DISTRIBUTIONS = {
    "PIL": "pillow",
    "yaml": "pyyaml",
    "flash_attn_2_cuda": "flash-attn",
    "huggingface_hub": "huggingface-hub",
}
_PATH = re.compile(r"\s*\((?:/|[A-Z]:)[^()]*\)$")


@dataclass(frozen=True, slots=True)
class Blame:
    """`importer`: the package whose code failed. `provider`, `missing`: what it looked for and where; '' if unknown."""

    line: str
    importer: str
    provider: str
    missing: str


def blame(record: Record) -> Blame:
    """Who failed, and over what. The root of the chain counts: what follows it often hides the cause."""
    cause = _telling(record)
    text = str(cause["text"])
    importer = next((module for frame in reversed(list(cause["frames"])) if (module := _module(frame))), "")
    for pattern in _MISSING:
        if match := pattern.search(text):
            provider = distribution(match["module"].split(".")[0])
            what = match["what"] or match["module"]
            return Blame(first_line(record), distribution(importer), provider, what)
    return Blame(first_line(record), distribution(importer), "", "")


def first_line(record: Record) -> str:
    """Type and first line of the error that started it: not a traceback."""
    cause = _telling(record)
    lines = [line.strip() for line in str(cause["text"]).splitlines() if line.strip()]
    line = _PATH.sub("", lines[0]) if lines else "(no text)"
    kind = cause["type"]
    line = line if kind in ("Found", "Died", "TimedOut") else f"{kind}: {line}"
    return line if len(line) <= 300 else line[:299] + "…"


def texts(record: Record) -> str:
    """Everything the chain says, the root first: what known walls are recognised by."""
    return "\n".join(f"{each['type']}: {each['text']}" for each in record)


def distribution(module: str) -> str:
    return _DISTRIBUTIONS.get(module, module.replace("_", "-"))


def _telling(record: Record) -> Mapping[str, Any]:
    """The root of what was raised "from" something: what an `except` had caught before that is not the cause."""
    return next((each for each in record if not each.get("handled")), record[-1])


def _module(frame: str) -> str:
    found = _SITE.findall(frame)
    return str(found[-1]) if found else ""
