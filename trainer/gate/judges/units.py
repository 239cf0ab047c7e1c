"""What is counted: `27 euros` is no answer where the reference says 27 days, though the number is right."""

from __future__ import annotations

import re

from trainer.gate.checks.citations import without_citations
from trainer.gate.checks.normal import digitised, normal, stem, words
from trainer.gate.schema import Question

_COUNTED = re.compile(r"(?<![\w.,:])(\d+(?:[.:]\d+)*)[ -]?([^\W\d_][\w']*)")
"""A number and what follows it with no more than a space or a hyphen between."""
_HALF = re.compile(r"\b([ap])\. ?m\b\.?")
_NO_UNITS = frozenset(
    (
        "a", "am", "an", "and", "are", "at", "by", "each", "every", "for", "from", "if", "in", "is", "it", "of", "on",
        "or", "o'clock", "per", "pm", "so", "than", "that", "the", "this", "to", "until", "when", "which", "who",
        "with", "you",
    )
)  # fmt: skip
_SAME = {
    "eur": "euro", "\u20ac": "euro", "usd": "dollar", "gbp": "pound", "kg": "kilogram", "kilo": "kilogram",
    "km": "kilometr", "kilometer": "kilometr", "m": "metr", "meter": "metr", "h": "hour", "hr": "hour",
    "min": "minut", "percentage": "percent",
}  # fmt: skip


def other_units(question: Question, text: str, only: frozenset[str] | None = None) -> tuple[str, ...]:
    """What the answer counts, where neither the reference, the question nor a fact's spelling has that word. `only`:
    of these numbers."""
    spellings = [spelling for fact in question.facts for spelling in fact]
    known = {_unit(word) for part in (question.question, question.reference or "", *spellings) for word in _words(part)}
    found = _COUNTED.findall(_HALF.sub(r"\1m", digitised(normal(without_citations(text)), ones=False)))
    other = [
        (number, word)
        for number, word in found
        if (_other_half_of_the_day(number, word) or word not in _NO_UNITS) and _unit(word) not in known
    ]
    return tuple(dict.fromkeys(f"{number} {word}" for number, word in other if only is None or number in only))


def _other_half_of_the_day(number: str, word: str) -> bool:
    """9:00 is in the morning: `9:00 pm` is another time, as `12:30 am` is. (`p.m.` is read as `pm`.)"""
    hour = int(number.partition(":")[0].partition(".")[0][-3:])
    return (word == "pm" and 1 <= hour <= 11) or (word == "am" and hour == 12)


def _words(text: str) -> list[str]:
    return words(_HALF.sub(r"\1m", digitised(normal(text))))


def _unit(word: str) -> str:
    return _SAME.get(stem(word), stem(word))
