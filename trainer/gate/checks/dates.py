"""Months and days of the week in a text. (A date's day and year are numbers: `trainer.gate.checks.numbers`.)"""

from __future__ import annotations

import re

from trainer.gate.checks.normal import plain

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DATE_WORDS = frozenset((*_MONTHS, *_DAYS))
_VERBS = ("march", "may")
"""Only a month where a number is beside it, or in the middle of a sentence with a capital letter."""
_WORD = re.compile(r"[A-Za-z]+|\d+")


def dates(text: str) -> frozenset[str]:
    """What the text claims, in small letters and in full."""
    text = plain(text)
    tokens = list(_WORD.finditer(text))
    found = set()
    for at, token in enumerate(tokens):
        name = token[0].casefold().removesuffix("s") if token[0].casefold() not in DATE_WORDS else token[0].casefold()
        if name not in DATE_WORDS or not token[0][0].isupper():
            continue
        if name in _VERBS:
            beside = [tokens[place][0] for place in (at - 1, at + 1) if 0 <= place < len(tokens)]
            begins = not text[: token.start()].rstrip() or text[: token.start()].rstrip()[-1] in ".!?:"
            if begins and not any(part.isdigit() for part in beside):
                continue
        found.add(name)
    return frozenset(found)


def unsupported(claimed: frozenset[str], *texts: str) -> tuple[str, ...]:
    """The claimed ones that none of the texts holds, not shortened to three letters either. A month may also be there
    by its number, as in 2026-03-01."""
    held: set[str] = set()
    for text in texts:
        text = plain(text).casefold()
        found = set(re.findall(r"[a-z]+", text))
        held |= {name for name in DATE_WORDS if name in found or name + "s" in found or name[:3] in found}
        held |= {_MONTHS[int(month) - 1] for month in re.findall(r"\d{4}-(0[1-9]|1[0-2])-\d{2}", text)}
    return tuple(sorted(claimed - held))
