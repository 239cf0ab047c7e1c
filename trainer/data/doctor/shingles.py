"""Texts as sets of three words in a row, and how much two such sets share. In time linear in the length of the texts.

Case, marks and spacing do not count. Characters of scripts without spaces are words by themselves.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

WORDS = 3
HASHES = 32
BANDS = 16
COMPARED = 4
"""Earlier texts of a band that a text is compared with: it keeps the time linear where thousands share a band."""

_TEXTS_AT_A_TIME = 4096
_NO_SPACES = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(f"[{_NO_SPACES}]|[^\\W{_NO_SPACES}]+")
_WEIGHTS = tuple(np.uint64(weight) for weight in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))

Hashes = npt.NDArray[np.uint64]


def words(text: str) -> list[str]:
    """The words of `text` in lower case, without marks."""
    return _WORD.findall(text.casefold() if text.isascii() else unicodedata.normalize("NFKC", text).casefold())


class _Numbers(dict[str, int]):
    """The number of each word, worked out when it is first met."""

    def __missing__(self, word: str) -> int:
        number = self[word] = zlib.crc32(word.encode()) + 1
        return number


class Shingles:
    """The sets of many texts, in one array: those of text i are `hashes[starts[i]:starts[i + 1]]`, ascending, each
    once. A text of fewer than three words has one shingle."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.known = _Numbers()
        parts = [self._some(texts[i : i + _TEXTS_AT_A_TIME]) for i in range(0, len(texts), _TEXTS_AT_A_TIME)]
        self.hashes: Hashes = np.concatenate([hashes for hashes, _ in parts]) if parts else np.zeros(0, np.uint64)
        sizes = np.concatenate([sizes for _, sizes in parts]) if parts else np.zeros(0, np.int64)
        self.starts: npt.NDArray[np.int64] = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        self.known.clear()

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, text: int) -> Hashes:
        return self.hashes[self.starts[text] : self.starts[text + 1]]

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        return np.diff(self.starts)

    def _some(self, texts: Sequence[str]) -> tuple[Hashes, npt.NDArray[np.int64]]:
        known = self.known
        flat: list[int] = []
        counts: list[int] = []
        for text in texts:
            before = len(flat)
            flat.extend(map(known.__getitem__, words(text)))
            if len(flat) - before < WORDS:
                flat.extend([0] * (WORDS - len(flat) + before))
            counts.append(len(flat) - before)
        numbers = np.asarray(flat, dtype=np.uint64)
        owner = np.repeat(np.arange(len(counts)), counts)
        with np.errstate(over="ignore"):
            whole = numbers[:-2] * _WEIGHTS[0] ^ _mixed(numbers[1:-1] * _WEIGHTS[1]) ^ numbers[2:] * _WEIGHTS[2]
        hashes, owner = _mixed(whole)[owner[:-2] == owner[2:]], owner[:-2][owner[:-2] == owner[2:]]
        order = np.lexsort((hashes, owner))
        hashes, owner = hashes[order], owner[order]
        first = np.ones(len(hashes), bool)
        first[1:] = (hashes[1:] != hashes[:-1]) | (owner[1:] != owner[:-1])
        return hashes[first], np.bincount(owner[first], minlength=len(counts)).astype(np.int64)

    def signatures(self) -> npt.NDArray[np.uint32]:
        """MinHash (Broder, 1997): [texts, HASHES]. Two texts agree in a share of columns near their Jaccard index."""
        out = np.empty((len(self), HASHES), np.uint32)
        if not len(self):
            return out
        random = np.random.default_rng(0)
        for column, (factor, offset) in enumerate(random.integers(1, 2**63, (HASHES, 2), dtype=np.uint64)):
            with np.errstate(over="ignore"):
                mixed = (self.hashes * (factor | np.uint64(1)) + offset) >> np.uint64(32)
            out[:, column] = np.minimum.reduceat(mixed, self.starts[:-1]).astype(np.uint32)
        return out


def _mixed(numbers: Hashes) -> Hashes:
    with np.errstate(over="ignore"):
        numbers = (numbers ^ (numbers >> np.uint64(31))) * _WEIGHTS[1]
        mixed: Hashes = numbers ^ (numbers >> np.uint64(29))
        return mixed


def jaccard(one: Hashes, other: Hashes) -> float:
    """The share of all shingles of the two that both have."""
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both)


def contained(one: Hashes, other: Hashes) -> float:
    """The share of the shingles of `one` that `other` has, too."""
    return len(np.intersect1d(one, other, assume_unique=True)) / len(one)


def alike(questions: Shingles, answers: Shingles, threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs (earlier, later) of rows whose questions and whose answers both have a Jaccard index of `threshold` or
    more. Of each row the first such earlier one.

    A band is two hashes of the question's signature and two of the answer's: rows that share their passages and not
    their answers, or the answer "yes" and not the question, do not meet. At 0.8 for both, one pair in 5,000 is missed.
    """
    columns = HASHES // BANDS
    bands = np.concatenate(
        [signature.reshape(-1, BANDS, columns) for signature in (questions.signatures(), answers.signatures())], axis=2
    )
    seen: list[dict[bytes, list[int]]] = [{} for _ in range(BANDS)]
    for row in range(len(questions)):
        compared: set[int] = set()
        found = False
        for band, buckets in enumerate(seen):
            bucket = buckets.setdefault(bands[row, band].tobytes(), [])
            for earlier in bucket:
                if not found and earlier not in compared:
                    compared.add(earlier)
                    found = (
                        jaccard(questions[earlier], questions[row]) >= threshold
                        and jaccard(answers[earlier], answers[row]) >= threshold
                    )
                    if found:
                        yield earlier, row
            if len(bucket) < COMPARED:
                bucket.append(row)


class Index:
    """Finds which of a few texts are contained in many others."""

    def __init__(self, texts: Shingles) -> None:
        """Shingles that more than 3, and more than a tenth or 50, of the indexed texts share are their frame and do
        not count. A text left with fewer than `LEAST` shingles cannot be found by them: `too_short`."""
        owner = np.repeat(np.arange(len(texts)), texts.sizes)
        order = np.argsort(texts.hashes, kind="stable")
        hashes, owner = texts.hashes[order], owner[order]
        _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
        telling = counts[inverse] <= max(3, min(50, len(texts) // 10))
        self.hashes, self.owner = hashes[telling], owner[telling]
        self.sizes = np.bincount(self.owner, minlength=len(texts))
        self.too_short = frozenset(np.flatnonzero(self.sizes < LEAST).tolist())

    def containing(self, texts: Shingles, threshold: float) -> Iterator[tuple[int, int, float]]:
        """(text, indexed text, share of the indexed text's telling shingles that the text has), from `threshold` on."""
        for first in range(0, len(texts), _TEXTS_AT_A_TIME):
            last = min(first + _TEXTS_AT_A_TIME, len(texts))
            flat = texts.hashes[texts.starts[first] : texts.starts[last]]
            holder = np.repeat(np.arange(first, last), texts.sizes[first:last])
            left, right = (np.searchsorted(self.hashes, flat, side=side) for side in ("left", "right"))
            times = right - left
            hits = np.flatnonzero(times)
            if not len(hits):
                continue
            times = times[hits]
            holders = np.repeat(holder[hits], times)
            within = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
            owners = self.owner[np.repeat(left[hits], times) + within]
            pairs, shared = np.unique(holders * len(self.sizes) + owners, return_counts=True)
            for pair, count in zip(pairs.tolist(), shared.tolist(), strict=True):
                text, indexed = divmod(pair, len(self.sizes))
                share = count / self.sizes[indexed]
                if share >= threshold and indexed not in self.too_short:
                    yield text, indexed, float(share)


LEAST = 4
"""Telling shingles: a text of six words has as many."""
