"""Rows that are there twice, and rows of the training set that the evaluation or the gate asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from trainer.data.doctor.report import Finding, Severity, about
from trainer.data.doctor.shingles import Index, Shingles, alike, contained, words
from trainer.data.hashing import normal
from trainer.data.rows import Row

NEAR = 0.8
"""Rows are near duplicates when questions and answers each share this much of their triples of words (Jaccard)."""
CONTAINED = 0.8
"""A question is in a row when the row has this share of the question's telling triples of words. In a question of ten
words, one word more or less at an end leaves 0.88, one changed in its middle 0.63."""
RESEMBLES = 0.6
"""From here on a row is worth a look."""


class Indexed:
    """The shingles of the training rows, worked out once for all the checks."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.questions = Shingles([row.question for row in rows])
        self.answers = Shingles([row.answer for row in rows])


def check_duplicates(indexed: Indexed) -> Iterator[Finding]:
    rows = indexed.rows
    first_of: dict[bytes, int] = {}
    by_prompt: dict[bytes, dict[bytes, int]] = {}
    twice: set[int] = set()
    for row in rows:
        prompt, answer = _fingerprint(*row.texts[:-1]), _fingerprint(row.answer)
        if first_of.setdefault(prompt + answer, row.number) != row.number:
            twice.add(row.number)
        by_prompt.setdefault(prompt, {}).setdefault(_fingerprint(" ".join(words(row.answer)) or row.answer), row.number)
    yield from about(
        "duplicates",
        "warning",
        twice,
        "{n} that repeat{s} an earlier one",
        "remove them, unless they are there to weigh more",
    )
    conflicts = [number for answers in by_prompt.values() if len(answers) > 1 for number in answers.values()]
    yield from about(
        "conflicts",
        "warning",
        conflicts,
        "{n} that answer{s} the same prompt in different ways",
        "keep the right answer; the model would learn the mean of them",
    )
    near = {rows[later].number for _, later in alike(indexed.questions, indexed.answers, NEAR)} - twice
    yield from about(
        "near_duplicates",
        "warning",
        near,
        f"{{n}} that nearly repeat{{s}} an earlier one: question and answer share {NEAR:.0%} of their triples of words",
        "remove them, unless they are there to weigh more",
    )


def check_held_out(indexed: Indexed, held_out: Sequence[Row], *, chosen: bool) -> Iterator[Finding]:
    """Training rows that the evaluation holds, too. `chosen`: the evaluation has a file of its own, so that it can be
    kept apart; otherwise its rows are a share of these, and one that nearly repeats another is only a warning."""
    if not held_out:
        return
    asked = {_fingerprint(*row.texts[:-1]) for row in held_out}
    same = {row.number for row in indexed.rows if _fingerprint(*row.texts[:-1]) in asked}
    answers = Shingles([row.answer for row in held_out])
    index = Index(Shingles([row.question for row in held_out]))
    near = {
        indexed.rows[row].number
        for row, other, _ in index.containing(indexed.questions, CONTAINED)
        if contained(answers[other], indexed.answers[row]) >= CONTAINED
    }
    mend = "remove them from one of the two: the evaluation's loss would look better than it is"
    if not chosen:
        mend = "keep rows that say the same in a file of their own (data.evaluation) or remove them"
    severity: Severity = "error" if chosen else "warning"
    yield from about("evaluation_overlap", severity, same, "{n} whose prompt is in the evaluation rows, too", mend)
    yield from about(
        "evaluation_near",
        severity,
        near - same,
        f"{{n}} that hold{{s}} {CONTAINED:.0%} or more of the triples of words of an evaluation row, in both parts",
        mend,
    )


def check_gate(indexed: Indexed, questions: Sequence[str]) -> Iterator[Finding]:
    """Training rows that hold one of the gate's questions, word for word or nearly."""
    if not questions:
        return
    whole = {" ".join(words(question)) for question in questions} - {""}
    longest = 2 * max(map(len, questions))  # of a question with the same words; spares the rest their splitting
    same = {
        row.number
        for row in indexed.rows
        if any(len(text) <= longest and " ".join(words(text)) in whole for text in row.texts)
    }
    index = Index(Shingles(list(questions)))
    shares: dict[int, float] = {}
    for texts in (indexed.questions, indexed.answers):
        for row, _, share in index.containing(texts, RESEMBLES):
            number = indexed.rows[row].number
            shares[number] = max(share, shares.get(number, 0.0))
    held = {number for number, share in shares.items() if share >= CONTAINED} - same
    mend = "remove them: the gate would measure memory; reword the gate's question only if it asks for something else"
    yield from about("gate_overlap", "error", same, "{n} that ask{s} a question of the gate", mend)
    yield from about(
        "gate_near",
        "error",
        held,
        f"{{n}} that hold{{s}} {CONTAINED:.0%} or more of the triples of words of a question of the gate",
        mend,
    )
    yield from about(
        "gate_resembles",
        "warning",
        set(shares) - held - same,
        f"{{n}} that hold{{s}} {RESEMBLES:.0%} to {CONTAINED:.0%} of the triples of words of a question of the gate",
        "look whether they ask the same",
    )


def _fingerprint(*texts: str) -> bytes:
    """A hash of texts, spacing apart: case and marks count, since code and sums differ by them."""
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        digest.update(normal(text).encode() + b"\0")
    return digest.digest()
