"""One share: against published figures, and against sums of exact fractions."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from trainer.gate.statistics import (
    Interval,
    clopper_pearson,
    clopper_pearson_lower,
    clopper_pearson_upper,
    wilson,
    wilson_lower,
    wilson_upper,
)
from trainer.gate.statistics.proportions import at_least, at_most, least_to_show, most_to_refute

# Newcombe 1998, Statistics in Medicine 17, table I: methods 3 (Wilson) and 5 (Clopper-Pearson), 95 %.
NEWCOMBE = [
    (81, 263, (0.2553, 0.3662), (0.2527, 0.3676)),
    (15, 148, (0.0624, 0.1605), (0.0578, 0.1617)),
    (0, 20, (0.0000, 0.1611), (0.0000, 0.1684)),
    (1, 29, (0.0061, 0.1718), (0.0009, 0.1776)),
]


@pytest.mark.parametrize(("successes", "trials", "by_wilson", "exact"), NEWCOMBE)
def test_both_intervals_are_those_of_newcombes_table(successes, trials, by_wilson, exact):
    found = wilson(successes, trials)
    assert (round(found.low, 4), round(found.high, 4)) == by_wilson
    found = clopper_pearson(successes, trials)
    assert (round(found.low, 4), round(found.high, 4)) == exact


def test_all_successes_mirror_none():
    assert wilson(20, 20) == Interval(1 - wilson(0, 20).high, 1.0)
    assert clopper_pearson(20, 20).low == pytest.approx(1 - clopper_pearson(0, 20).high)
    assert clopper_pearson(0, 20).high == pytest.approx(1 - 0.025 ** (1 / 20))  # the closed form of the rule of three


def test_nothing_asked_says_nothing():
    for interval in (wilson(0, 0), clopper_pearson(0, 0)):
        assert interval == Interval(0.0, 1.0)
    assert least_to_show(0.6, 0, 0.05) is None
    assert most_to_refute(0.6, 0, 0.05) is None


def test_what_are_no_counts_is_refused_with_the_values():
    for function in (wilson_lower, wilson_upper, clopper_pearson_lower, clopper_pearson_upper):
        with pytest.raises(ValueError, match="7 of 5"):
            function(7, 5, 0.05)
        with pytest.raises(ValueError, match="alpha is 0"):
            function(3, 5, 0.0)


@settings(max_examples=60, deadline=None)
@given(some.integers(1, 80), some.data(), some.integers(1, 99))
def test_tails_are_the_sums_of_exact_fractions(trials, data, percent):
    successes = data.draw(some.integers(0, trials))
    share = Fraction(percent, 100)
    exact = sum(
        comb(trials, count) * share**count * (1 - share) ** (trials - count) for count in range(successes, trials + 1)
    )
    assert at_least(successes, trials, float(share)) == pytest.approx(float(exact), rel=1e-9, abs=1e-300)
    assert at_most(successes - 1, trials, float(share)) == pytest.approx(float(1 - exact), rel=1e-9, abs=1e-15)


@settings(max_examples=60, deadline=None)
@given(some.integers(1, 200), some.data(), some.sampled_from([0.01, 0.025, 0.05, 0.1]))
def test_an_exact_bound_is_the_share_at_which_the_tail_is_alpha(trials, data, alpha):
    successes = data.draw(some.integers(0, trials))
    lower, upper = (bound(successes, trials, alpha) for bound in (clopper_pearson_lower, clopper_pearson_upper))
    assert 0 <= lower <= successes / trials <= upper <= 1
    if successes:
        assert at_least(successes, trials, lower) == pytest.approx(alpha, rel=1e-6)
    if successes < trials:
        assert at_most(successes, trials, upper) == pytest.approx(alpha, rel=1e-6)
    assert lower <= wilson_upper(successes, trials, alpha)
    assert wilson_lower(successes, trials, alpha) <= upper


@settings(max_examples=60, deadline=None)
@given(some.integers(1, 150), some.integers(5, 95), some.sampled_from([0.01, 0.05, 0.2]))
def test_the_least_that_shows_a_share_is_the_first_whose_exact_bound_reaches_it(trials, percent, alpha):
    share, tie = percent / 100, alpha * (1 + 1e-9)
    reach = [count for count in range(trials + 1) if at_least(count, trials, share) <= tie]
    assert least_to_show(share, trials, alpha) == (reach[0] if reach else None)
    below = [count for count in range(trials + 1) if at_most(count, trials, share) <= tie]
    assert most_to_refute(share, trials, alpha) == (below[-1] if below else None)


def test_a_bar_of_85_percent_needs_29_of_30_and_26_say_little():
    assert least_to_show(0.85, 30, 0.05) == 29
    seen = wilson(26, 30)
    assert (round(seen.low, 3), round(seen.high, 3)) == (0.703, 0.947)
    # "26 of 30" as a bar of its own: how often one whose true share is lower gets there.
    assert [round(at_least(26, 30, share), 3) for share in (0.70, 0.75, 0.80, 0.85)] == [0.030, 0.098, 0.255, 0.524]


def test_a_set_of_five_cannot_show_a_bar_of_60_percent():
    assert 0.6**5 > 0.05
    assert least_to_show(0.6, 5, 0.05) is None
    assert least_to_show(0.6, 6, 0.05) == 6


def test_a_tail_that_is_alpha_itself_counts():
    assert least_to_show(0.5, 4, 0.0625) == 4  # 1 / 16 to the last digit
