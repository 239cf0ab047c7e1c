"""Not worse by as much as a margin."""

from __future__ import annotations

import pytest

from trainer.gate.statistics import noninferiority, score_interval


def test_as_good_as_before_on_sixty_questions_is_not_worse_by_ten_points():
    assert noninferiority(2, 2, 60, 0.10, 0.05).answer == "not worse"
    assert noninferiority(0, 0, 60, 0.10, 0.05).answer == "not worse"


def test_thirty_questions_with_a_few_changes_leave_it_open():
    found = noninferiority(2, 2, 30, 0.10, 0.05)
    assert found.answer == "open"
    assert found.lower < -0.10 < found.upper


def test_a_plain_loss_is_worse():
    found = noninferiority(0, 20, 60, 0.10, 0.05)
    assert found.answer == "worse"
    assert found.upper < -0.10
    assert found.p > 0.99


@pytest.mark.parametrize("gains", range(0, 13, 3))
@pytest.mark.parametrize("losses", range(0, 13, 3))
def test_the_answer_the_bound_and_the_p_value_say_the_same(gains, losses):
    found = noninferiority(gains, losses, 60, 0.10, 0.05)
    assert (found.answer == "not worse") == (found.p < 0.05) == (found.lower > -0.10)
    two_sided = score_interval(gains, losses, 60, 0.90)
    assert (found.lower, found.upper) == pytest.approx((two_sided.low, two_sided.high))


def test_no_pairs_leave_it_open():
    assert noninferiority(0, 0, 0, 0.10, 0.05).answer == "open"


def test_a_margin_of_nothing_is_refused():
    with pytest.raises(ValueError, match="margin is 0"):
        noninferiority(1, 1, 30, 0.0, 0.05)
