"""Rendered rows as the arrays that a training step takes, in an order that the seed and the epoch decide.

The order of an epoch is a pure function of the rows, the seed and the number of the epoch: a run that was killed goes
on at any step of any epoch without going through the steps before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.data.packing import fill_rate, pack
from trainer.data.rendering import Rendered

NOT_LEARNED = -100
PADDING = -1
"""The document number of positions that hold no token."""

Ints = npt.NDArray[np.int32]


class Batch(NamedTuple):
    """Sequences for one forward pass. All arrays are int32 of the shape [sequences, positions]."""

    tokens: Ints
    """0 where there is padding."""
    targets: Ints
    """The token that each position predicts, already shifted, never across documents; -100: not learned."""
    positions: Ints
    """From 0 in every document."""
    documents: Ints
    """The number of the row within its sequence, from 0; -1: padding."""
    real_tokens: int
    """Positions that hold a token of a row."""
    learned_tokens: int
    """Positions whose target is learned."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is learned from in each step of each epoch.

    With packing, rows are packed anew every epoch: the epoch's shuffle decides which of the rows of one length goes
    where, then the sequences are shuffled. The number of sequences, and so of steps, is the same in every epoch.

    Raises ValueError for a row of more than `max_tokens`, and for no rows.
    """

    rows: Sequence[Rendered] = field(repr=False)
    max_tokens: int
    sequences_per_step: int
    sequences_at_once: int
    seed: int = 0
    packing: bool = True
    width_multiple: int = 8
    """A batch is as wide as its longest sequence, rounded up to this; never wider than `max_tokens` rounded up."""
    lengths: Ints = field(init=False, repr=False)
    sequences: int = field(init=False)
    """Of an epoch."""

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError("there are no rows to learn from")
        if min(self.sequences_per_step, self.sequences_at_once, self.width_multiple) < 1:
            raise ValueError("sequences_per_step, sequences_at_once and width_multiple must be at least 1")
        lengths = np.fromiter((len(row.ids) for row in self.rows), dtype=np.int32, count=len(self.rows))
        object.__setattr__(self, "lengths", lengths)
        object.__setattr__(self, "sequences", len(self.order(0)))

    @property
    def steps_per_epoch(self) -> int:
        """The last one of an epoch may have fewer sequences."""
        return -(-self.sequences // self.sequences_per_step)

    @property
    def tokens_per_epoch(self) -> int:
        return int(self.lengths.sum(dtype=np.int64))

    @property
    def learned_tokens_per_epoch(self) -> int:
        return sum(row.learned_tokens for row in self.rows)

    @property
    def fill_rate(self) -> float:
        """The share of positions that hold a token, were every sequence `max_tokens` wide."""
        return fill_rate(self.lengths.tolist(), self.sequences, self.max_tokens)

    def order(self, epoch: int) -> list[list[int]]:
        """The sequences of an epoch in their order, each as indices of `rows`."""
        random = np.random.default_rng((self.seed, epoch))
        shuffled = random.permutation(len(self.rows))
        if not self.packing:
            _must_fit(self.lengths, self.max_tokens)
            return [[int(index)] for index in shuffled]
        packed = pack(self.lengths[shuffled].tolist(), self.max_tokens)
        return [shuffled[packed[place]].tolist() for place in random.permutation(len(packed)).tolist()]

    def batches(self, epoch: int, start_step: int = 0, rank: int = 0, world: int = 1) -> Iterator[list[Batch]]:
        """One list for each step of `epoch` from `start_step` (from 0) on: the forward passes of device `rank` of
        `world`. Each of a step's sequences is on one device; with more devices than sequences a list may be empty."""
        order = self.order(epoch)
        for start in range(start_step * self.sequences_per_step, len(order), self.sequences_per_step):
            step = order[start : start + self.sequences_per_step][rank::world]
            yield self._batches(step)

    def in_order(self, rank: int = 0, world: int = 1) -> list[Batch]:
        """All rows once, unshuffled, for an evaluation. The same in every run, whatever the seed."""
        if self.packing:
            sequences = pack(self.lengths.tolist(), self.max_tokens)
        else:
            # Rows of about the same length side by side: less padding, and an evaluation's sum knows no order.
            sequences = [[int(index)] for index in np.argsort(-self.lengths, kind="stable")]
        return self._batches(sequences[rank::world])

    def _batches(self, sequences: Sequence[Sequence[int]]) -> list[Batch]:
        return [
            batch([[self.rows[index] for index in one] for one in sequences[first : first + self.sequences_at_once]],
                  self.width_multiple)
            for first in range(0, len(sequences), self.sequences_at_once)
        ]  # fmt: skip


def batch(sequences: Sequence[Sequence[Rendered]], width_multiple: int = 8) -> Batch:
    """The arrays of a few sequences, each a list of rows, padded to the longest, rounded up to `width_multiple`."""
    longest = max((sum(len(row.ids) for row in rows) for rows in sequences), default=0)
    shape = (len(sequences), -(-longest // width_multiple) * width_multiple)
    tokens, positions = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    targets, documents = np.full(shape, NOT_LEARNED, np.int32), np.full(shape, PADDING, np.int32)
    real = learned = 0
    for line, rows in enumerate(sequences):
        start = 0
        for document, row in enumerate(rows):
            ids = np.frombuffer(row.ids, dtype=np.int32)
            end, first = start + len(ids), max(row.learned_from, 1)
            tokens[line, start:end] = ids
            targets[line, start + first - 1 : end - 1] = ids[first:]
            positions[line, start:end] = np.arange(len(ids))
            documents[line, start:end] = document
            real, learned, start = real + len(ids), learned + row.learned_tokens, end
    return Batch(tokens, targets, positions, documents, real, learned)


def _must_fit(lengths: Ints, max_tokens: int) -> None:
    longest = int(lengths.argmax())
    if lengths[longest] > max_tokens:
        raise ValueError(f"row {longest} has {lengths[longest]} tokens and max_tokens is {max_tokens}")
