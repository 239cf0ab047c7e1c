"""Intervals: against the published table of t, and by their coverage on known distributions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.replay.statistics import interval, paired_interval, t_mass, t_quantile


@pytest.mark.parametrize(
    ("freedom", "published"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (6, 2.447), (13, 2.160), (29, 2.045), (120, 1.980)],
)
def test_quantiles_are_those_of_the_published_table(freedom: int, published: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(published, abs=6e-4)


@given(st.floats(0, 50), st.integers(1, 60))
def test_the_mass_below_is_a_probability_that_grows_with_t(t: float, freedom: int) -> None:
    assert 0.5 <= t_mass(t, freedom) <= 1
    assert t_mass(t, freedom) <= t_mass(t + 0.1, freedom) + 1e-12


@pytest.mark.parametrize("days", [3, 7, 14])
def test_the_interval_holds_the_truth_in_95_of_100_cases(days: int) -> None:
    rng = np.random.default_rng(days)
    cases = 2000
    held = 0
    for sample in rng.normal(10, 4, (cases, days)):
        found = interval(sample.tolist())
        assert found is not None
        held += found.low <= 10 <= found.high
    assert 0.935 <= held / cases <= 0.965  # three standard errors of a share of 2000


def test_pairing_takes_out_what_both_have_in_common() -> None:
    rng = np.random.default_rng(1)
    weekday = rng.normal(100, 50, 7)  # the same for both
    ours, theirs = weekday + rng.normal(-5, 1, 7), weekday + rng.normal(0, 1, 7)
    paired = paired_interval(ours.tolist(), theirs.tolist())
    alone = interval(ours.tolist())
    assert paired is not None
    assert alone is not None
    assert paired.excludes_zero
    assert paired.high - paired.low < (alone.high - alone.low) / 10


@pytest.mark.parametrize("days", [0, 1, 2])
def test_fewer_than_three_days_have_no_interval(days: int) -> None:
    assert interval([1.0] * days) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=14), st.floats(-1e5, 1e5))
def test_an_interval_holds_its_mean_and_moves_with_the_values(values: list[float], by: float) -> None:
    found, moved = interval(values), interval([value + by for value in values])
    assert found is not None
    assert moved is not None
    assert found.low <= found.mean <= found.high
    assert moved.low == pytest.approx(found.low + by, abs=1e-3)
    assert moved.high == pytest.approx(found.high + by, abs=1e-3)


def test_other_days_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="3 days against 4"):
        paired_interval([1, 2, 3], [1, 2, 3, 4])


def test_a_confidence_of_certainty_is_refused() -> None:
    with pytest.raises(ValueError, match="must be above 0 and below 1"):
        interval([1, 2, 3], 1.0)
