"""Two generators on the same questions: published examples, exact counting, and what happens at the edges."""

from __future__ import annotations

import random
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from trainer.gate.statistics import Interval, mcnemar_exact, paired_bootstrap, score_bound, score_interval
from trainer.gate.statistics.paired import counted, score


def test_mcnemar_is_that_of_published_examples():
    # Armitage and Berry 1994, p. 127: tubercle bacilli on two media.
    assert round(mcnemar_exact(12, 2), 4) == 0.0129
    # 164 people asked twice about a cabinet: R's binom.test(c(35, 28)).
    assert round(mcnemar_exact(35, 28), 2) == 0.45
    # Agresti 1990, p. 350: approval of a president, 150 changed one way and 86 the other. Chi squared is 17.3559; the
    # score at no difference is its root.
    assert score(150, 86, 1600, 0.0) ** 2 == pytest.approx(17.3559, abs=1e-4)
    assert mcnemar_exact(150, 86) == pytest.approx(3.1e-5, rel=0.25)


def test_mcnemar_is_the_share_of_all_coin_rows_at_least_as_uneven():
    for gains, losses in product(range(7), repeat=2):
        rows = list(product((0, 1), repeat=gains + losses))
        uneven = abs(gains - losses)
        as_uneven = sum(abs(2 * sum(row) - len(row)) >= uneven for row in rows)
        assert mcnemar_exact(gains, losses) == pytest.approx(as_uneven / len(rows))


def test_nothing_that_differs_is_no_evidence():
    assert mcnemar_exact(0, 0) == 1.0
    assert paired_bootstrap([(1, 1)] * 30) == Interval(0.0, 0.0)  # which is why no test uses it
    bound = score_bound(0, 0, 30, 0.05, 1)
    assert bound == pytest.approx(1.6448536**2 / (30 + 1.6448536**2))
    assert score_bound(0, 0, 30, 0.05, -1) == pytest.approx(-bound)


def test_it_takes_six_gains_without_a_loss_to_be_significant():
    assert mcnemar_exact(5, 0) > 0.05 >= mcnemar_exact(6, 0)
    assert mcnemar_exact(7, 1) > 0.05 >= mcnemar_exact(8, 1)
    assert mcnemar_exact(9, 2) > 0.05 >= mcnemar_exact(10, 2)
    assert round(mcnemar_exact(11, 3), 3) == 0.057


def test_the_score_interval_is_that_of_published_examples():
    # Airway hyper-responsiveness before and after a transplant, 21 children (Bentur et al. 2009), as worked by
    # Fagerland, Lydersen and Laake 2014 (Statistics in Medicine 33, 2850-2875): 1 and 7 changed.
    found = score_interval(1, 7, 21)
    assert (round(found.low, 3), round(found.high, 3)) == (-0.517, -0.026)
    # R's PropCIs::scoreci.mp(25, 28, 618, 0.90), whose difference is (second - first) / n.
    found = score_interval(28, 25, 618, 0.90)
    assert (round(found.low, 4), round(found.high, 4)) == (-0.0148, 0.0247)


def test_nothing_asked_says_nothing():
    assert paired_bootstrap([]) == Interval(-1.0, 1.0)
    assert score_interval(0, 0, 0) == Interval(-1.0, 1.0)


def test_every_question_gained_leaves_only_the_lower_bound_open():
    assert score_bound(30, 0, 30, 0.05, 1) == pytest.approx(1.0)
    z = 1.6448536
    assert score_bound(30, 0, 30, 0.05, -1) == pytest.approx((30 - z**2) / (30 + z**2))
    assert paired_bootstrap([(0, 1)] * 30) == Interval(1.0, 1.0)


@settings(max_examples=100, deadline=None)
@given(some.integers(0, 40), some.integers(0, 40), some.integers(0, 40), some.sampled_from([0.01, 0.05, 0.2]))
def test_a_score_bound_is_where_the_score_is_z_and_the_two_directions_mirror(gains, losses, same, alpha):
    pairs = gains + losses + same
    lower, upper = (score_bound(gains, losses, pairs, alpha, side) for side in (-1, 1))
    difference = (gains - losses) / max(pairs, 1)
    assert -1 <= lower <= difference + 1e-9
    assert difference - 1e-9 <= upper <= 1
    assert score_bound(losses, gains, pairs, alpha, 1) == pytest.approx(-lower, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(some.integers(0, 20), some.integers(0, 20), some.integers(1, 20))
def test_the_score_falls_as_the_difference_asked_about_rises(gains, losses, same):
    pairs = gains + losses + same
    scores = [score(gains, losses, pairs, place / 20) for place in range(-20, 21)]
    assert all(before >= after - 1e-9 for before, after in pairwise(scores))


def test_the_bootstrap_over_all_resamples_is_what_drawing_them_approaches():
    pairs = [(0, 1)] * 9 + [(1, 0)] * 2 + [(1, 1)] * 12 + [(0, 0)] * 7
    chance = random.Random(1)
    drawn = sorted(sum(b - a for a, b in chance.choices(pairs, k=30)) for _ in range(8_000))
    found = paired_bootstrap(pairs)
    for end, place in ((found.low, 200), (found.high, 7_800)):
        assert abs(end * 30 - drawn[place]) <= 1


def test_counts_that_cannot_be_are_refused_with_the_values():
    with pytest.raises(ValueError, match="gains -1"):
        mcnemar_exact(-1, 2)
    with pytest.raises(ValueError, match="20 gains and 15 losses of 30 pairs"):
        score(20, 15, 30, 0.0)


def test_pairs_are_counted_by_who_was_accepted():
    assert counted([(0, 1), (0, 1), (1, 0), (1, 1), (0, 0)]) == (2, 1)
