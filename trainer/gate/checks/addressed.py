"""Words that are meant for a judge, or for the program around a model, and are no part of an answer to a question.

No list of them can be whole. It need not be: the rules ask for facts and sources, which no such words can supply.
"""

from __future__ import annotations

import re

from trainer.gate.checks.normal import plain

_FOR_A_PROGRAM = re.compile(
    r"<\||\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<</?\w|<<<|>>>|```|</?s>|\"verdict\"\s*:", re.IGNORECASE
)
_ROLE = re.compile(r"^[ \t]{0,20}(?:system|assistant|user|human)[ \t]{0,20}:", re.IGNORECASE | re.MULTILINE)
_ORDER = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:above|previous|prior|earlier|instructions?|rules?|everything)\b",
    re.IGNORECASE | re.DOTALL,
)
_ALONE = re.compile(
    r"(?:^|[.!?:\n])[ \t]{0,20}(?:accept|accepted|approve|approved)[ \t]{0,20}[.!]{0,9}[ \t]{0,20}(?:$|\n)",
    re.IGNORECASE,
)
_JUDGING = re.compile(r"\b(?:judges?|graders?|evaluators?|verdicts?)\b", re.IGNORECASE)


def addressed_to_a_judge(text: str, *material: str) -> str | None:
    """The first such words; None: there are none. `material`: texts that may use them themselves, such as passages."""
    for pattern in (_FOR_A_PROGRAM, _ROLE, _ORDER, _ALONE):
        if found := pattern.search(text):
            return plain(found[0])[:60]
    known = " ".join(material).casefold()
    for found in _JUDGING.finditer(text):
        if not re.search(rf"\b{re.escape(found[0].casefold())}\b", known):
            return found[0]
    return None
