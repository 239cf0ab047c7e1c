"""Cited pages: `[travel-03]`, or several as `[travel-03, leave-01]`."""

from __future__ import annotations

import re

from trainer.gate.schema import Question

_CITATION = re.compile(r"\[\s*([^\[\]\s,;]{1,200}(?:\s*[,;]\s*[^\[\]\s,;]{1,200}){0,20})\s*\]")


def cited(text: str) -> tuple[str, ...]:
    """The ids, each once, in small letters, in the order of the text."""
    found = (id for match in _CITATION.finditer(text) for id in re.split(r"\s*[,;]\s*", match[1]))
    return tuple(dict.fromkeys(id.casefold() for id in found))


def without_citations(text: str) -> str:
    return _CITATION.sub(" ", text)


def unknown_ids(ids: tuple[str, ...], question: Question) -> tuple[str, ...]:
    """Those that no passage of the prompt has."""
    known = {passage.id.casefold() for passage in question.passages}
    return tuple(id for id in ids if id not in known)
