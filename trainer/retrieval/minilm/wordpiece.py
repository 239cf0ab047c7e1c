"""BERT's tokenizer for lower-cased text: cleaning, words, and pieces of words from a vocabulary.

Devlin et al., "BERT" (2018); the greedy longest match is WordPiece's. Which characters are cleaned, split and joined
follows the settings in `tokenizer.json` as Hugging Face's `tokenizers` applies them. Of all characters, about 500 of
rare scripts are read otherwise: those that Unicode called marks or punctuation only after 2016.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from trainer.export.bounded_json import read_json

_CONTINUES = "##"
_CONTROL = ("Cc", "Cf", "Co")  # not `Cn`: what this Python does not know yet is no control character
_LONGEST_WORD = 100
"""A longer one becomes `[UNK]`."""
# Blocks of ideographs that are written without spaces: each character is a word.
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPiece:
    """Texts to token ids, `[CLS]` first and `[SEP]` last. Special tokens written in a text are read as plain text."""

    def __init__(self, vocabulary: dict[str, int]) -> None:
        """Raises KeyError where a special token is missing."""
        self._vocabulary = vocabulary
        self._unknown, self._first, self._last = (vocabulary[name] for name in ("[UNK]", "[CLS]", "[SEP]"))
        self._pieces = lru_cache(maxsize=50_000)(self._cut)

    def range(self) -> tuple[int, int]:
        """The lowest and the highest id that a text can have."""
        return min(self._vocabulary.values()), max(self._vocabulary.values())

    def ids(self, text: str, longest: int | None = None) -> list[int]:
        """At most `longest` ids, the two marks included; None: all of them."""
        found = [piece for word in _words(text) for piece in self._pieces(word)]
        if longest is not None:
            found = found[: max(0, longest - 2)]
        return [self._first, *found, self._last]

    def _cut(self, word: str) -> tuple[int, ...]:
        if len(word) > _LONGEST_WORD:
            return (self._unknown,)
        found, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = self._vocabulary.get((_CONTINUES if start else "") + word[start:end])
                if piece is not None:
                    break
            else:
                return (self._unknown,)
            found.append(piece)
            start = end
        return tuple(found)


def read_wordpiece(file: Path) -> WordPiece:
    """From `tokenizer.json`. Raises OSError, and ValueError for another kind of tokenizer."""
    content: Any = read_json(file)
    try:
        model, normalizer = content["model"], content["normalizer"]
        kind = (model["type"], model.get("continuing_subword_prefix"), normalizer["type"], normalizer["lowercase"])
        if kind != ("WordPiece", _CONTINUES, "BertNormalizer", True):
            raise ValueError(f"it is a tokenizer of the kind {kind}, and only lower-casing WordPiece is read here")
        for settings, name, read in (
            (normalizer, "clean_text", True), (normalizer, "handle_chinese_chars", True),
            (normalizer, "strip_accents", None), (model, "max_input_chars_per_word", _LONGEST_WORD),
            (model, "unk_token", "[UNK]"),
        ):  # fmt: skip
            if settings.get(name, read) != read and (name, settings[name]) != ("strip_accents", True):
                raise ValueError(f"its {name} is {settings[name]!r}, and only {read!r} is read here")
        return WordPiece({str(token): int(number) for token, number in model["vocab"].items()})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no tokenizer.json of BERT's kind: {error!r}") from None


def _words(text: str) -> Iterator[str]:
    clean = "".join(_cleaned(text))
    plain = "".join(each for each in unicodedata.normalize("NFD", clean) if unicodedata.category(each) != "Mn")
    for run in "".join(each.lower() for each in plain).split():
        start = 0
        for place, each in enumerate(run):
            if _is_mark(each):
                if start < place:
                    yield run[start:place]
                yield each
                start = place + 1
        if start < len(run):
            yield run[start:]


def _cleaned(text: str) -> Iterator[str]:
    for each in text:
        code = ord(each)
        if each in "\t\n\r":
            yield " "
        elif code == 0xFFFD or unicodedata.category(each) in _CONTROL:
            continue
        elif each.isspace():
            yield " "
        elif code >= 0x3400 and any(low <= code <= high for low, high in _IDEOGRAPHS):
            yield f" {each} "
        else:
            yield each


def _is_mark(each: str) -> bool:
    """Punctuation, and every printable character of ASCII that is neither letter nor digit."""
    if each.isascii():
        return not each.isalnum()
    return unicodedata.category(each).startswith("P")
