"""Text as it is compared: one form of case, spaces, dashes, quotes, thousands and number words."""

from __future__ import annotations

import re
import unicodedata

_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"))
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00b4": "'", "`": "'"})
# A plain space counts too, as in 1 200: in prose two numbers that only look like that hardly ever follow each other.
_THOUSANDS = re.compile(r"(?<![\w.,])\d{1,3}(?:(?:,\d{3})+|(?: \d{3})+|(?:'\d{3})+)(?!\d)")

_EARLY = re.compile(r"(?<![\d:.])0(\d:\d{2})(?!\d)")

_UNITS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_SMALL = "|".join([*_UNITS, *_TENS])
_NUMBER_WORDS = re.compile(
    rf"\b(?:(?P<tens>{'|'.join(_TENS)})[- ](?P<unit>{'|'.join(list(_UNITS)[1:10])})|(?P<small>{_SMALL}))"
    rf"(?: (?P<scale>{'|'.join(_SCALES)}))?\b"
)


def plain(text: str) -> str:
    """Case kept; compatible letters, dashes, quotes and spaces in one form each."""
    text = unicodedata.normalize("NFKC", text).translate(_DASHES).translate(_QUOTES)
    text = "".join(letter for letter in text if letter.isspace() or unicodedata.category(letter)[0] != "C")
    return " ".join(text.split())


def normal(text: str) -> str:
    """As `plain`, in small letters, and thousands without separators: `1,200` and `1 200` are `1200`."""
    text = plain(text).casefold()
    return _THOUSANDS.sub(lambda found: re.sub(r"[, ']", "", found[0]), text)


def digitised(text: str, *, ones: bool = True) -> str:
    """A normal text with number words as digits, and hours in one form: `twenty-five` is `25`, `09:00` is `9:00`.
    `ones` False: `one`, which often counts nothing, stays a word."""

    def digits(found: re.Match[str]) -> str:
        if found["tens"]:
            value = _TENS[found["tens"]] + _UNITS[found["unit"]]
        else:
            small = found["small"]
            value = _UNITS[small] if small in _UNITS else _TENS[small]
            if value == 1 and not ones and not found["scale"]:
                return found[0]
        return str(value * _SCALES.get(found["scale"] or "", 1))

    return _EARLY.sub(r"\1", _NUMBER_WORDS.sub(digits, text))


def words(text: str) -> list[str]:
    """The words and numbers of a normal text, without a genitive's 's."""
    return [word.removesuffix("'s") for word in re.findall(r"\w+(?:['.:]\w+)*", text)]


def stem(word: str) -> str:
    """A word without the ends that English puts to one: enough to find `claims` where `claim` is written."""
    for end, put in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(end) and len(word) - len(end) >= 3 and not word.endswith("ss"):
            return word[: -len(end)] + put
    return word.removesuffix("e") if len(word) > 3 else word
