"""Refusals: answers that say that the passages do not hold the answer. Recognised by the phrases below, and no others.

The handbook does not say.                     (what the bundled recipe teaches)
The passages do not mention a parking fee.     (subject, not, a verb of telling)
That is not stated in the handbook.            (not, told, in, a subject)
There is no information about parking.
I do not know. I cannot find it. It cannot be determined from the context.
"""

from __future__ import annotations

import re

from trainer.gate.checks.citations import without_citations
from trainer.gate.checks.normal import normal

_SUBJECT = (
    r"(?:handbook|passages?|texts?|context|documents?|pages?|information|sources?|excerpts?|material|policy|policies)"
)
_NOT = r"(?:do not|does not|did not|don't|doesn't|didn't|cannot|can't)"
_TELL = (
    r"(?:say|state|mention|specify|contain|include|provide|hold|cover|give|answer|tell|address|list|indicate|explain|"
    r"describe|define|discuss|have)"
)
_TOLD = (
    r"(?:said|stated|mentioned|specified|given|provided|covered|found|available|included|contained|listed|addressed|"
    r"answered|described|defined|indicated)"
)
_I = r"(?:i|we)"
_PHRASES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b{_SUBJECT}(?: \w+){{0,4}} {_NOT} (?:\w+ly |actually )?{_TELL}\b",
        rf"\b{_SUBJECT}(?: \w+){{0,3}} (?:says|say|has|have|contains|contain|holds|hold) (?:nothing|no \w+)\b",
        rf"\b(?:not|n't|nowhere|never) (?:\w+ly )?{_TOLD} (?:anywhere )?(?:in|by|from|within|on) "
        rf"(?:\w+ ){{0,3}}{_SUBJECT}\b",
        r"\bthere (?:is|are) (?:no|not any|not enough|insufficient) (?:\w+ )?(?:information|mention|answer|details?)\b",
        r"\b(?:no|not enough|insufficient) information\b",
        rf"\b{_I} (?:do not|don't|cannot|can't|could not|couldn't) (?:know|find|answer|tell|say|determine|have)\b",
        rf"\b{_I}(?: am|'m| are|'re) (?:unable|not able|sorry)\b",
        r"\b(?:cannot|can't|could not|couldn't) be (?:answered|determined|found)\b",
        r"\b(?:it|this|that) (?:does not|doesn't) say\b",
        r"^(?:it|this|that|the answer) is not "
        r"(?:stated|mentioned|specified|known|given|provided|available|covered|found)\W*$",
        r"^(?:unknown|not stated|not mentioned|not specified|not known|no answer)\W*$",
    )
)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
"""Also at a semicolon: `It is free; the handbook does not say more` gives an answer, and is no refusal alone."""


def sentences(text: str) -> list[str]:
    """Normal texts, without citations."""
    parts = _SENTENCE.split(without_citations(text))
    return [said for part in parts if (said := normal(part)) and re.search(r"\w", said)]


def is_refusal(sentence: str) -> bool:
    """Of one sentence of `sentences`."""
    return any(phrase.search(sentence) for phrase in _PHRASES)


def refuses(text: str) -> bool:
    """One of the answer's sentences is a refusal."""
    return any(map(is_refusal, sentences(text)))


def only_refuses(text: str) -> bool:
    """Each of them is."""
    said = sentences(text)
    return bool(said) and all(map(is_refusal, said))
