"""The accepted share, corrected for the judges' errors."""

from __future__ import annotations

import random

import pytest

from trainer.gate.statistics import Interval, corrected


def test_the_estimate_is_that_of_rogan_and_gladen():
    # Lee et al. 2025, figure 2: with specificity 0.7 and sensitivity 0.9 the raw share is right at 75 % only.
    for raw, true in ((75, 0.75), (60, 0.50), (90, 1.0), (30, 0.0)):
        found = corrected(raw, 100, right=10, right_accepted=9, wrong=10, wrong_rejected=7)
        assert found.estimate == pytest.approx(true)
        assert (found.sensitivity, found.specificity) == (0.9, 0.7)
        assert found.interval.low <= found.estimate <= found.interval.high


def test_the_interval_shrinks_with_the_calibration_as_lee_et_al_show():
    # Figure 3: endless questions, raw share 0.3, q0 = 0.7, q1 = 0.9: a length of 0.1 takes about 200 labels a kind.
    def length(labels):
        found = corrected(
            300_000,
            1_000_000,
            right=labels,
            right_accepted=labels * 9 // 10,
            wrong=labels,
            wrong_rejected=labels * 7 // 10,
        ).interval
        return found.high - found.low

    assert length(140) > 0.1
    assert length(240) < 0.11
    assert length(50) > length(100) > length(1_000)


def test_the_interval_is_that_of_equations_5_to_7():
    # Worked apart, in the paper's letters: n 60, raw 0.7, m0 = m1 = 20, q0 = 0.75, q1 = 0.95.
    found = corrected(42, 60, right=20, right_accepted=19, wrong=20, wrong_rejected=15).interval
    assert (found.low, found.high) == pytest.approx((0.407705, 0.886856), abs=1e-6)


def test_perfect_judges_change_nothing_but_leave_their_own_uncertainty():
    found = corrected(42, 60, right=20, right_accepted=20, wrong=20, wrong_rejected=20)
    assert found.estimate == pytest.approx(0.7)
    certain = corrected(42, 60, right=10**6, right_accepted=10**6, wrong=10**6, wrong_rejected=10**6)
    assert found.interval.low < certain.interval.low < 0.7 < certain.interval.high < found.interval.high


@pytest.mark.parametrize(
    ("right", "right_accepted", "wrong", "wrong_rejected"),
    [(0, 0, 20, 20), (20, 20, 0, 0), (20, 10, 20, 10), (20, 2, 20, 3), (0, 0, 0, 0)],
    ids=["no right ones", "no wrong ones", "a coin", "worse than a coin", "nothing labelled"],
)
def test_labels_that_tell_nothing_give_no_estimate(right, right_accepted, wrong, wrong_rejected):
    found = corrected(20, 30, right=right, right_accepted=right_accepted, wrong=wrong, wrong_rejected=wrong_rejected)
    assert found.estimate is None
    assert found.interval == Interval(0.0, 1.0)


def test_an_estimate_never_leaves_the_possible():
    assert corrected(30, 30, right=20, right_accepted=16, wrong=20, wrong_rejected=18).estimate == 1.0
    assert corrected(0, 30, right=20, right_accepted=16, wrong=20, wrong_rejected=18).estimate == 0.0


def test_no_questions_give_no_estimate():
    assert corrected(0, 0, right=5, right_accepted=5, wrong=5, wrong_rejected=5).estimate is None


def test_a_part_larger_than_its_whole_is_refused():
    with pytest.raises(ValueError, match="6 of 5"):
        corrected(3, 5, right=5, right_accepted=6, wrong=5, wrong_rejected=5)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    chance = random.Random(3)

    def drawn(share, count):
        return sum(chance.random() < share for _ in range(count))

    held = 0
    for _ in range(600):
        accepted = sum(chance.random() < (0.9 if chance.random() < 0.7 else 0.15) for _ in range(60))
        found = corrected(
            accepted, 60, right=30, right_accepted=drawn(0.9, 30), wrong=30, wrong_rejected=drawn(0.85, 30)
        ).interval
        held += found.low <= 0.7 <= found.high
    assert held >= 600 * 0.92
