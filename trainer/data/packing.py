"""Several rows to a sequence, so that little of a sequence is padding.

Best-fit decreasing: rows from the longest to the shortest, each into the fullest sequence that still has room. It uses
at most 11/9 of the fewest possible sequences, plus four, in the worst case (Johnson, 1973); with rows much shorter than
a sequence it leaves well under 1% empty.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np


def pack(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """The indices of `lengths` as sequences, each of at most `max_tokens` in sum; every index once.

    The same lengths give the same sequences. Among rows of one length the first in order goes first, so another order
    of the rows mixes them otherwise, and the number of sequences depends on the lengths alone. O(n log n), but for the
    moves within a list of at most `max_tokens` numbers.

    Raises ValueError for a length below 1 or above `max_tokens`.
    """
    given = np.asarray(lengths, dtype=np.int64)
    if given.size == 0:
        return []
    if given.min() < 1 or given.max() > max_tokens:
        bad = int(np.argmax((given < 1) | (given > max_tokens)))
        raise ValueError(f"row {bad} has {given[bad]} tokens: each needs at least 1 and at most {max_tokens}")
    shortest = int(given.min())
    order = np.argsort(-given, kind="stable")
    sequences: list[list[int]] = []
    room: list[int] = []  # the different rooms left over, ascending
    with_room: dict[int, list[int]] = {}  # and the sequences that have each
    for index, length in zip(order.tolist(), given[order].tolist(), strict=True):
        place = bisect_left(room, length)
        if place == len(room):
            left = max_tokens - length
            target = len(sequences)
            sequences.append([index])
        else:
            found = room[place]
            those = with_room[found]
            target = those.pop()
            if not those:
                del room[place], with_room[found]
            sequences[target].append(index)
            left = found - length
        if left >= shortest:  # otherwise nothing fits any more
            if left in with_room:
                with_room[left].append(target)
            else:
                with_room[left] = [target]
                room.insert(bisect_left(room, left), left)
    return sequences


def fill_rate(lengths: Sequence[int], sequences: int, max_tokens: int) -> float:
    """The share of `sequences` times `max_tokens` positions that hold a token."""
    return sum(lengths) / (sequences * max_tokens) if sequences else 0.0
