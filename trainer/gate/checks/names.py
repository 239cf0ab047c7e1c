"""Names in a text: words with a capital letter where English would not put one for itself."""

from __future__ import annotations

import re

from trainer.gate.checks.citations import without_citations
from trainer.gate.checks.dates import DATE_WORDS
from trainer.gate.checks.normal import plain, stem

_WORD = re.compile(r"[^\W\d_][\w']*")
_ENDS_SENTENCE = frozenset('.!?:;*\u2022"(')
_NO_NAMES = frozenset(("i", "i'm", "i'd", "i'll", "i've", "ok", "yes", "no", "am", "pm"))


def names(text: str) -> frozenset[str]:
    """What the text claims, in small letters, word by word. A sentence's first word counts only where it has a second
    capital, as in VPN: its first one says nothing."""
    found = set()
    for line in without_citations(text).splitlines():
        before = 0
        shown = plain(line)
        for token in _WORD.finditer(shown):
            between, begins = shown[before : token.start()], before == 0
            before = token.end()
            word = token[0].removesuffix("'s").strip("'")
            small, capitals = word.casefold(), sum(letter.isupper() for letter in word)
            if not capitals or small in _NO_NAMES or {small, small.removesuffix("s")} & DATE_WORDS:
                continue
            if capitals > 1 or (word[0].isupper() and not begins and not _ENDS_SENTENCE & set(between)):
                found.add(small)
    return frozenset(found)


def unsupported(claimed: frozenset[str], *texts: str) -> tuple[str, ...]:
    """The claimed ones that none of the texts holds in any case or number."""
    held: set[str] = set()
    for text in texts:
        for word in _WORD.findall(plain(text).casefold()):
            held.add(stem(word.removesuffix("'s").strip("'")))
    return tuple(sorted(name for name in claimed if stem(name) not in held))
