"""Power by counting: against known figures, and against going through every way that the questions can fall."""

from __future__ import annotations

from math import comb

import pytest

from trainer.gate.statistics import mcnemar_exact, noninferiority, questions_needed
from trainer.gate.statistics.paired import score_bound
from trainer.gate.statistics.power import above_power, bar_power, below_bar_power, below_power, gain_power


def every_way(questions, gain, loss):
    for gains in range(questions + 1):
        for losses in range(questions + 1 - gains):
            ways = comb(questions, gains) * comb(questions - gains, losses)
            rest = questions - gains - losses
            yield gains, losses, ways * gain**gains * loss**losses * (1 - gain - loss) ** rest


@pytest.mark.parametrize(("gain", "loss"), [(0.3, 0.05), (0.1, 0.1), (0.4, 0.0), (0.0, 0.2)])
def test_the_power_of_a_gain_is_the_sum_over_every_way(gain, loss):
    wanted = sum(
        chance
        for gains, losses, chance in every_way(30, gain, loss)
        if gains > losses and mcnemar_exact(gains, losses) <= 0.05 and gains - losses >= 0.1 * 30
    )
    assert gain_power(gain, loss, 30, 0.05, 0.1) == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize(("gain", "loss"), [(0.05, 0.05), (0.0, 0.02), (0.05, 0.25), (0.0, 0.0)])
def test_the_power_of_not_worse_is_the_sum_over_every_way(gain, loss):
    ways = list(every_way(30, gain, loss))
    wanted = sum(
        chance for gains, losses, chance in ways if noninferiority(gains, losses, 30, 0.1, 0.05).answer == "not worse"
    )
    assert above_power(gain, loss, 30, -0.1, 0.05) == pytest.approx(wanted, abs=1e-8)
    wanted = sum(chance for gains, losses, chance in ways if score_bound(gains, losses, 30, 0.05, 1) < -0.1)
    assert below_power(gain, loss, 30, -0.1, 0.05) == pytest.approx(wanted, abs=1e-8)


def test_known_figures_of_mcnemars_power():
    powers = [gain_power(gain, 0.05, size, 0.05) for gain in (0.15, 0.20, 0.30) for size in (30, 60, 100)]
    # Simulated before, apart from this code.
    assert powers == pytest.approx([0.09, 0.30, 0.53, 0.24, 0.59, 0.84, 0.56, 0.93, 0.99], abs=0.015)


def test_the_bars_power_is_the_binomial_tail_from_the_least_that_shows_it():
    assert bar_power(0.85, 0.85, 30, 0.05) == pytest.approx(0.85**30 + 30 * 0.15 * 0.85**29)
    assert bar_power(1.0, 0.6, 6, 0.05) == 1.0
    assert bar_power(1.0, 0.6, 5, 0.05) == 0.0
    assert below_bar_power(0.0, 0.6, 4, 0.05) == 1.0
    assert below_bar_power(0.0, 0.6, 3, 0.05) == 0.0


def test_questions_needed_is_the_first_total_with_the_power():
    more = questions_needed(lambda total: bar_power(0.75, 0.6, total, 0.05), 30)
    assert more is not None
    assert bar_power(0.75, 0.6, 30 + more, 0.05) >= 0.8 > bar_power(0.75, 0.6, 30 + more - 1, 0.05)


def test_what_no_number_of_questions_shows_has_no_number():
    assert questions_needed(lambda total: bar_power(0.6, 0.6, total, 0.05), 30) is None
    assert questions_needed(lambda _: 1.0, 2_000) is None


def test_shares_of_more_than_all_questions_are_refused():
    with pytest.raises(ValueError, match=r"gain 0\.7 and loss 0\.5"):
        gain_power(0.7, 0.5, 30, 0.05)
