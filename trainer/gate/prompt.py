"""The one prompt that every generator gets, and that training rows for the same task are written in."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from trainer.gate.schema import FrozenSet, Question


def messages(instruction: str, question: Question) -> list[dict[str, str]]:
    """A chat of two: the instruction, and the passages (each under its id) before the question."""
    passages = "\n".join(f"[{passage.id}] {passage.text}" for passage in question.passages)
    return [
        {"role": "system", "content": instruction},
        {"role": "user", "content": f"{passages}\n\nQuestion: {question.question}"},
    ]


def sha256_of_messages(chat: list[dict[str, str]]) -> str:
    return sha256(msgspec.json.encode(chat)).hexdigest()


def sha256_of_set(frozen: FrozenSet) -> str:
    """Of the whole set in canonical form: any change of a word, a passage, an order or a reference changes it."""
    return sha256(msgspec.json.encode(frozen, order="sorted")).hexdigest()
