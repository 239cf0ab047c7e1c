"""Packing: every row once, no sequence too long, little left empty."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.packing import fill_rate, pack

LENGTHS = st.lists(st.integers(1, 64), max_size=200)


@settings(max_examples=40, deadline=None)
@given(LENGTHS)
def test_every_row_is_in_one_sequence_and_none_is_too_long(lengths: list[int]) -> None:
    sequences = pack(lengths, 64)
    assert sorted(index for sequence in sequences for index in sequence) == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in sequence) <= 64 for sequence in sequences)


@settings(max_examples=40, deadline=None)
@given(LENGTHS, st.randoms(use_true_random=False))
def test_another_order_of_the_rows_gives_as_many_sequences(lengths: list[int], random: random.Random) -> None:
    shuffled = random.sample(lengths, len(lengths))
    assert len(pack(shuffled, 64)) == len(pack(lengths, 64))


@settings(max_examples=40, deadline=None)
@given(LENGTHS)
def test_no_two_sequences_would_fit_into_one(lengths: list[int]) -> None:
    totals = sorted(sum(lengths[index] for index in sequence) for sequence in pack(lengths, 64))
    assert len(totals) < 2 or totals[0] + totals[1] > 64


def test_the_fullest_sequence_with_room_takes_the_next_row() -> None:
    assert pack([61, 50, 3], 64) == [[0, 2], [1]]


def test_among_rows_of_one_length_the_first_goes_first() -> None:
    assert pack([3, 3, 3, 3], 6) == [[0, 1], [2, 3]]


def test_short_rows_fill_their_sequences() -> None:
    choice = random.Random(0)
    lengths = [min(2048, int(choice.lognormvariate(5, 0.7)) + 8) for _ in range(20_000)]
    sequences = pack(lengths, 2048)
    assert fill_rate(lengths, len(sequences), 2048) > 0.998


def test_no_rows_give_no_sequences() -> None:
    assert pack([], 64) == []
    assert fill_rate([], 0, 64) == 0.0


@pytest.mark.parametrize(("lengths", "index"), [([1, 65], 1), ([0], 0)])
def test_a_length_that_cannot_be_is_named(lengths: list[int], index: int) -> None:
    with pytest.raises(ValueError, match=f"row {index} has {lengths[index]} tokens: each needs at least 1 and at most"):
        pack(lengths, 64)
