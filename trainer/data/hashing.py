"""Hashes of a data file and of its rows: what was trained on, and which rows are held out."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path

import msgspec

from trainer.data.rows import Row


def data_hash(path: Path) -> str:
    """`sha256:` and the hash of the file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def normal(text: str) -> str:
    """`text` in the composed form of its characters (NFKC), with single spaces. Case and marks stay: code and sums
    differ by them."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFKC", text)).split())


def question_hash(row: Row) -> int:
    """A uniform number of 64 bits from what stands before the answer; the same in every process and on every machine.

    The answer is left out, so that rows which answer one question differently get the same number; so do questions
    that differ in nothing but their spacing or the form of their characters.
    """
    asked = (
        normal(row.prompt or "")
        if row.messages is None
        else [[m["role"], normal(m["content"])] for m in row.messages[:-1]]
    )
    return int.from_bytes(hashlib.blake2b(msgspec.json.encode(asked), digest_size=8).digest(), "big")
