"""The texts themselves: empty ones, broken characters, another script than the rest; and the balance of the labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from trainer.data.doctor.report import Finding, about
from trainer.data.rows import Row

RARE = 0.1
"""A kind of answer in at most this share of the rows is odd; in more, it is what the set teaches."""
UNBALANCED = 10
"""The most frequent label has so many times the rows of the rarest."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
_REPLACED = re.compile("\ufffd")
_TWICE_ENCODED = re.compile("Ã[\x80-\xbf¡-¿]|â€[\x80-\xbf™œ\u009d˜”“¦]|Â[\xa0°£»«]")
_OTHER_LETTER = re.compile(r"[^\W\d_\u0000-\u024f\u1e00-\u1eff]")
_LETTER = re.compile(r"[^\W\d_]")


def check_texts(rows: Sequence[Row]) -> Iterator[Finding]:
    yield from about(
        "empty_answer",
        "error",
        (row.number for row in rows if not row.answer.strip()),
        "{n} with an empty answer",
        "remove them: the model would learn to say nothing",
    )
    yield from about(
        "empty_prompt",
        "warning",
        (row.number for row in rows if not row.question.strip()),
        "{n} with nothing before the answer",
        "look whether the question was lost",
    )
    one_word = [row.number for row in rows if len(row.answer.split()) == 1]
    if len(one_word) <= RARE * len(rows):
        yield from about("one_word", "warning", one_word, "{n} whose answer is one word", "look whether it was cut")
    for check, pattern, what, mend in (
        ("replaced", _REPLACED, "U+FFFD, which stands for a byte that could not be read", "read the source as UTF-8"),
        ("control", _CONTROL, "control characters or ones without width", "take them out"),
        (
            "twice_encoded",
            _TWICE_ENCODED,
            "text that was encoded twice, such as 'Ã©' for 'é'",
            "decode the source once",
        ),
    ):
        numbers = (row.number for row in rows if any(pattern.search(text) for text in row.texts))
        yield from about(check, "warning", numbers, f"{{n}} with {what}", mend)
    other = [row.number for row in rows if not row.answer.isascii() and not _mostly_latin(row.answer)]
    if len(other) <= RARE * len(rows):
        message = "{n} whose answer is in another script than most"
    else:
        other = [row.number for row in rows if row.number not in set(other)] if len(rows) - len(other) else []
        message = "{n} whose answer is in Latin script, unlike most"
    if len(other) <= RARE * len(rows):
        yield from about("script", "warning", other, message, "look whether the language is the one you want")


def check_labels(rows: Sequence[Row], field: str | None) -> Iterator[Finding]:
    """The balance of the field that the settings name, if they name one."""
    if field is None:
        return
    missing = [row.number for row in rows if row.label is None]
    yield from about("labels", "warning", missing, f"{{n}} without a label `{field}`", "label every row")
    counts = Counter(row.label for row in rows if row.label is not None).most_common()
    if len(counts) == 1:
        message = f"all rows have the label {counts[0][0]!r}"
        yield Finding("labels", "warning", message, f"look whether `{field}` is the right field")
    elif counts and counts[0][1] >= UNBALANCED * counts[-1][1]:
        (most, many), (least, few) = counts[0], counts[-1]
        yield Finding(
            "labels",
            "warning",
            f"the label {most!r} has {many:,} rows and {least!r} has {few:,}",
            "add rows of the rare ones: a model leans to what it saw most",
        )


def _mostly_latin(text: str) -> bool:
    letters = len(_LETTER.findall(text))
    return 2 * len(_OTHER_LETTER.findall(text)) <= letters
