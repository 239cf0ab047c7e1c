"""Whether a text denies: `You may not`, `No,`; but not `no more than 3`, which sets a limit."""

from __future__ import annotations

import re

from trainer.gate.checks.citations import without_citations
from trainer.gate.checks.normal import normal

_LIMITS = re.compile(
    r"\b(?:no|not) (?:more|less|fewer|later|longer|earlier|sooner|higher|lower|larger|smaller|older|younger|further)"
    r"(?: than)?\b|\bnot only\b|\bnot exceed(?:ing)?\b|\b(?:do|does|may|must|can|should) not exceed\b"
    r"|\bwhether or not\b|\bif not\b|\bno later\b|\bno matter\b"
)
_DENIALS = re.compile(r"\b(?:no|not|never|cannot|nobody|none|neither|nor)\b|n't\b")
_ASKS_YES_OR_NO = re.compile(
    r"^(?:may|can|could|do|does|did|is|are|was|were|must|will|would|should|am|has|have|shall)\b"
)


def denies(text: str) -> bool:
    return _DENIALS.search(_LIMITS.sub(" ", normal(without_citations(text)))) is not None


def is_yes_no(question: str) -> bool:
    """The question begins with a verb that asks for yes or no."""
    return _ASKS_YES_OR_NO.search(normal(question)) is not None
