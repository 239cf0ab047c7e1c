"""What a model judge said, as a verdict. What is not plainly one is none: it is never guessed."""

from __future__ import annotations

import json
import re
from typing import Any

from trainer.gate.schema import Outcome

REASON_CHARACTERS = 1000
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_BLOCK = re.compile(r"\A```(?:json)?\s*\n(.*?)\n?```\s*\Z", re.DOTALL)
_OPEN = re.compile(r"\A\s*<think>")
_BEGINS = r"[\s>*_#`\-]*verdict[\s*_`]*[:=][\s*_`\"']*(accept|reject)"
_GIVEN = re.compile(_BEGINS, re.IGNORECASE)
"""A line that begins with a verdict, whatever it says then. One that quotes a verdict later does not give it."""
_LINE = re.compile(_BEGINS + r"(?:ed)?[\s*_`\"'.!]*", re.IGNORECASE)


def read_verdict(text: str, finish_reason: str | None) -> tuple[Outcome, str]:
    """The outcome, and the judge's reason; with `unjudged`, why nothing could be read.

    Read are one JSON object with `reason` and `verdict`, or a text whose last line is a verdict, and of whose other
    lines none begins with a different one. A reason must come first.
    """
    if finish_reason == "length":
        return "unjudged", "The judge was cut off at max_tokens before its end."
    said = _THOUGHT.sub("", text).strip()
    if not said:
        return "unjudged", "The judge said nothing."
    if _OPEN.match(said):
        return "unjudged", "The judge did not end its thought: what stands in it is no verdict."
    block = _BLOCK.match(said)
    inner = block[1].strip() if block else said
    if inner.startswith("{"):
        return _from_json(inner)
    return _from_lines(said)


def _from_json(text: str) -> tuple[Outcome, str]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("a name is there twice")
        return dict(pairs)

    try:
        told = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return "unjudged", "The judge's JSON cannot be read."
    reason, verdict = told.get("reason"), told.get("verdict")
    if set(told) != {"reason", "verdict"} or not isinstance(reason, str) or verdict not in ("accept", "reject"):
        return "unjudged", "The judge's JSON does not hold a reason and a verdict, and nothing else."
    if not reason.strip():
        return "unjudged", "The judge gave no reason."
    if list(told) != ["reason", "verdict"]:
        return "unjudged", "The judge gave its verdict before its reason."
    return verdict, _short(reason)


def _from_lines(text: str) -> tuple[Outcome, str]:
    lines = [line for line in text.splitlines() if line.strip()]
    verdicts = [found[1].lower() for line in lines if (found := _GIVEN.match(line))]
    if not _LINE.fullmatch(lines[-1]):
        return "unjudged", "The judge's last line is no verdict."
    if len(set(verdicts)) > 1:
        return "unjudged", "The judge gave both verdicts."
    reason = " ".join(line.strip() for line in lines if not _LINE.fullmatch(line))
    if not re.search(r"\w", reason):
        return "unjudged", "The judge gave no reason."
    if _LINE.fullmatch(lines[0]):
        return "unjudged", "The judge gave its verdict before its reason."
    return ("accept" if verdicts[-1] == "accept" else "reject"), _short(reason)


def _short(reason: str) -> str:
    reason = " ".join(reason.encode("utf-8", "replace").decode().split())  # half a surrogate pair is no text
    return reason if len(reason) <= REASON_CHARACTERS else reason[: REASON_CHARACTERS - 3] + "..."
