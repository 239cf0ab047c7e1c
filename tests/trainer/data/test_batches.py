"""Batches: every token once, no target across rows, the same order wherever a run starts from."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.batches import NOT_LEARNED, PADDING, Batch, Plan, batch
from trainer.data.rendering import Rendered

MOST = 48


def row(number: int, length: int, learned_from: int) -> Rendered:
    """Each of its ids says which row it is of, and where it stands there."""
    return Rendered(number, array("i", [1000 * number + place for place in range(length)]), min(learned_from, length))


ROWS = st.lists(st.tuples(st.integers(1, MOST), st.integers(0, MOST)), min_size=1, max_size=40).map(
    lambda given: [row(number, *shape) for number, shape in enumerate(given, start=1)]
)


def plan(rows: list[Rendered], *, packing: bool = True, per_step: int = 4, at_once: int = 2, seed: int = 0) -> Plan:
    return Plan(rows, MOST, per_step, at_once, seed, packing)


def flat(steps: list[list[Batch]]) -> list[Batch]:
    return [one for step in steps for one in step]


@settings(max_examples=30, deadline=None)
@given(ROWS, st.booleans(), st.integers(0, 3))
def test_an_epoch_has_every_token_of_every_row_once(rows: list[Rendered], packing: bool, epoch: int) -> None:
    batches = flat(list(plan(rows, packing=packing).batches(epoch)))
    found = np.concatenate([one.tokens[one.documents != PADDING] for one in batches])
    assert sorted(found.tolist()) == sorted(token for one in rows for token in one.ids)
    assert sum(one.real_tokens for one in batches) == len(found)


@settings(max_examples=30, deadline=None)
@given(ROWS, st.booleans())
def test_a_position_predicts_the_next_token_of_its_own_row_where_that_is_learned(
    rows: list[Rendered], packing: bool
) -> None:
    expected = {token for one in rows for token in list(one.ids)[max(one.learned_from, 1) :]}
    seen: list[int] = []
    for one in flat(list(plan(rows, packing=packing).batches(0))):
        learned = one.targets != NOT_LEARNED
        assert (one.targets[learned] == one.tokens[learned] + 1).all()
        assert one.learned_tokens == learned.sum()
        seen += one.targets[learned].tolist()
    assert sorted(seen) == sorted(expected)


@settings(max_examples=30, deadline=None)
@given(ROWS)
def test_positions_restart_with_every_row_and_padding_is_marked(rows: list[Rendered]) -> None:
    for one in flat(list(plan(rows).batches(0))):
        real = one.documents != PADDING
        assert (one.positions[real] == one.tokens[real] % 1000).all()
        assert (one.targets[~real] == NOT_LEARNED).all()
        assert not one.positions[~real].any()
        assert not one.tokens[~real].any()
        for line, numbers in enumerate(one.documents):
            starts = np.flatnonzero((one.positions[line] == 0) & (numbers != PADDING))
            assert numbers[starts].tolist() == list(range(len(starts)))


@settings(max_examples=30, deadline=None)
@given(ROWS, st.booleans())
def test_a_batch_is_as_wide_as_its_longest_sequence_rounded_up(rows: list[Rendered], packing: bool) -> None:
    for one in flat(list(plan(rows, packing=packing).batches(0))):
        longest = (one.documents != PADDING).sum(axis=1).max()
        assert one.tokens.shape[1] == -(-longest // 8) * 8
        assert one.tokens.shape[0] <= 2
        assert {array.dtype for array in one[:4]} == {np.dtype(np.int32)}


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(0, 5), st.data())
def test_a_run_goes_on_at_any_step_with_the_same_batches(rows: list[Rendered], epoch: int, data: st.DataObject) -> None:
    whole = list(plan(rows).batches(epoch))
    assert len(whole) == plan(rows).steps_per_epoch
    start = data.draw(st.integers(0, len(whole)))
    rest = list(plan(rows).batches(epoch, start))
    assert len(rest) == len(whole) - start
    for one, other in zip(flat(rest), flat(whole[start:]), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(1, 5))
def test_several_devices_share_each_steps_sequences(rows: list[Rendered], world: int) -> None:
    alone = plan(rows)
    shares = [list(alone.batches(1, rank=rank, world=world)) for rank in range(world)]
    assert {len(share) for share in shares} == {alone.steps_per_epoch}
    for step, together in enumerate(alone.batches(1)):
        apart = flat([share[step] for share in shares])
        assert sum(one.real_tokens for one in apart) == sum(one.real_tokens for one in together)


def test_each_epoch_has_an_order_of_its_own_and_each_seed_another() -> None:
    rows = [row(number, 5 + number % 7, 2) for number in range(1, 200)]
    orders = [plan(rows, seed=seed).order(epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({str(order) for order in orders}) == 4
    assert len({len(order) for order in orders}) == 1
    neighbours = [{frozenset(sequence) for sequence in order} for order in orders[:2]]
    assert len(neighbours[0] & neighbours[1]) < len(neighbours[0]) / 2  # other rows side by side, too


def test_without_packing_a_sequence_is_a_row() -> None:
    rows = [row(number, 10, 4) for number in range(1, 8)]
    found = plan(rows, packing=False)
    assert (found.sequences, found.steps_per_epoch) == (7, 2)
    assert [one.tokens.shape for one in flat(list(found.batches(0)))] == [(2, 16), (2, 16), (2, 16), (1, 16)]


def test_an_evaluation_has_every_row_once_whatever_the_seed() -> None:
    rows = [row(number, 3 + number % 20, 2) for number in range(1, 50)]
    for packing in (True, False):
        one, other = (plan(rows, packing=packing, seed=seed).in_order() for seed in (0, 1))
        assert all(np.array_equal(a.tokens, b.tokens) for a, b in zip(one, other, strict=True))
        assert sum(found.real_tokens for found in one) == sum(map(len, rows))
        shares = [plan(rows, packing=packing).in_order(rank, 3) for rank in range(3)]
        assert sum(found.learned_tokens for found in flat(shares)) == sum(found.learned_tokens for found in one)


def test_a_plan_says_what_it_comes_to() -> None:
    found = plan([row(1, 40, 30), row(2, 8, 6), row(3, 24, 0)])
    assert (found.sequences, found.tokens_per_epoch, found.learned_tokens_per_epoch) == (2, 72, 10 + 2 + 23)
    assert found.fill_rate == 72 / 96


def test_a_batch_can_be_wider_for_a_device_that_likes_it() -> None:
    assert batch([[row(1, 5, 2)]], width_multiple=64).tokens.shape == (1, 64)


@pytest.mark.parametrize("packing", [True, False])
def test_a_row_too_long_and_no_rows_are_refused(packing: bool) -> None:
    with pytest.raises(ValueError, match=f"{MOST + 1} tokens"):
        plan([row(1, MOST + 1, 2)], packing=packing)
    with pytest.raises(ValueError, match="no rows"):
        plan([], packing=packing)
    with pytest.raises(ValueError, match="at least 1"):
        plan([row(1, 5, 2)], per_step=0)
