"""The rows that are held out when no evaluation file is given."""

from __future__ import annotations

from collections.abc import Sequence

from trainer.data.hashing import question_hash
from trainer.data.rows import Row


def split(rows: Sequence[Row], share: float) -> tuple[list[Row], list[Row]]:
    """`rows` as (learned, held out): a row is held out when the hash of its question is below `share`.

    A row's side depends on nothing but its question: it stays the same when rows are added or the seed changes, so two
    versions of an adapter can be compared, and one question is never on both sides. With `share` above 0 and at least
    two questions, each side has at least one.
    """
    if share <= 0 or not rows:
        return list(rows), []
    hashes = [question_hash(row) for row in rows]
    limit = int(share * 2**64)
    least, most = min(hashes), max(hashes)
    if least == most:
        return list(rows), []
    limit = min(max(limit, least + 1), most)
    learned = [row for row, value in zip(rows, hashes, strict=True) if value >= limit]
    held_out = [row for row, value in zip(rows, hashes, strict=True) if value < limit]
    return learned, held_out
