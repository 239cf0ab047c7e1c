"""Numbers and times of day in a text, in one spelling each."""

from __future__ import annotations

import re

from trainer.gate.checks.citations import without_citations
from trainer.gate.checks.normal import digitised, normal

_NUMBER = re.compile(r"\d+:\d{2}(?!\d)|\d+(?:\.\d+)?")


def numbers(text: str) -> frozenset[str]:
    """What the text claims: `25`, `12.5`, `9:00`. Number words count, but for `one`; cited ids do not."""
    found = _NUMBER.findall(digitised(normal(without_citations(text)), ones=False))
    return frozenset(_canonical(number) for number in found)


def unsupported(claimed: frozenset[str], *texts: str) -> tuple[str, ...]:
    """The claimed numbers that none of the texts holds, in order of size."""
    held: set[str] = set()
    for text in texts:
        for number in map(_canonical, _NUMBER.findall(digitised(normal(text)))):
            held.add(number)
            held.add(number.partition(":")[0])  # 9:00 holds 9, as in 9 o'clock
    missing = {number for number in claimed if number not in held and number.removesuffix(":00") not in held}
    return tuple(sorted(missing, key=lambda number: (float(number.replace(":", ".")), number)))


def _canonical(number: str) -> str:
    whole, colon, minutes = number.partition(":")
    if colon:
        return f"{whole.lstrip('0') or '0'}:{minutes}"
    whole, point, part = number.partition(".")
    part = part.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{part}" if point and part else "")
