"""BM25: how well words fit a text, by how rare each is and how often it is there.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with the form of the inverse
document frequency that Lucene uses: ln(1 + (N - n + 0.5) / (n + 0.5)), which is never negative. Plain Python: no
weights and no packages.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

K1 = 1.2
"""How fast a second and third mention of a word stop counting."""
B = 0.75
"""How much a long text is held against it: 0 not at all, 1 in full."""

_WORD = re.compile(r"\w+")
_PLURAL = 4
"""A word of fewer letters keeps its s: `gas`, `bus`, `his`."""
_COMMON = frozenset(
    """a an and are as at be by can do does for from has have how i if in is it its may must my of on or our shall
    should that the their them there these they this to was we were what when where which who whom whose why will with
    would you your""".split()  # noqa: SIM905
)


def words(text: str) -> list[str]:
    """The words that count: lower case, without accents and plural endings, without the commonest English ones."""
    if not text.isascii():
        text = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    found = _WORD.findall(text.casefold())
    return [_singular(word) for word in found if word not in _COMMON]


class Bm25:
    """An index over texts, held in memory: about 100 bytes for each different word of each text."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._postings: dict[str, list[tuple[int, int]]] = {}
        lengths: list[int] = []
        for number, text in enumerate(texts):
            counts = Counter(words(text))
            lengths.append(counts.total())
            for word, count in counts.items():
                self._postings.setdefault(word, []).append((number, count))
        mean = (sum(lengths) / len(lengths) if lengths else 0.0) or 1.0
        self._weight_of_length = [K1 * (1 - B + B * length / mean) for length in lengths]

    def scores(self, query: str) -> dict[int, float]:
        """Score of every text that has a word of the query, by the text's number. A word asked twice counts twice."""
        scores: dict[int, float] = {}
        texts = len(self._weight_of_length)
        for word, times in sorted(Counter(words(query)).items()):  # one order of adding: one sum
            postings = self._postings.get(word, ())
            rarity = times * math.log(1 + (texts - len(postings) + 0.5) / (len(postings) + 0.5))
            for number, count in postings:
                gain = rarity * count * (K1 + 1) / (count + self._weight_of_length[number])
                scores[number] = scores.get(number, 0.0) + gain
        return scores


def _singular(word: str) -> str:
    """Harman's "S" stemmer ("How effective is suffixing?", 1991): -ies to -y, -es to -e, -s off, less exceptions."""
    if len(word) < _PLURAL or not word.endswith("s"):
        return word
    if word.endswith("ies"):
        return word if word.endswith(("eies", "aies")) else word[:-3] + "y"
    if word.endswith("es"):
        return word if word.endswith(("aes", "ees", "oes")) else word[:-1]
    return word if word.endswith(("us", "ss")) else word[:-1]
