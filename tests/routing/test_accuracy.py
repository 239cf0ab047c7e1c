"""Predictions held against what came: error, bias, p95 coverage, and the margin that follows. Simulated noise."""

from __future__ import annotations

import math
import random

import pytest

from gateway.routing.accuracy import Accuracy, Margin


def test_without_observations_there_is_nothing_to_say() -> None:
    accuracy = Accuracy()
    assert (accuracy.error_ratio, accuracy.bias_ratio, accuracy.coverage_ratio) == (None, None, None)


def test_error_and_bias_are_relative_to_what_came() -> None:
    accuracy = Accuracy()
    for _ in range(100):
        accuracy.observed(predicted=1.0, seen=2.0)
    assert accuracy.error_ratio == pytest.approx(0.5)
    assert accuracy.bias_ratio == pytest.approx(2.0)


def test_what_has_no_ratio_is_left_out() -> None:
    accuracy = Accuracy()
    for predicted, seen in ((0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (math.nan, 1.0), (1.0, math.nan)):
        accuracy.observed(predicted, seen)
    assert accuracy.observations == 0


@pytest.mark.parametrize("spread", [0.05, 0.3, 0.8])
def test_the_p95_covers_about_95_percent_of_a_noisy_backend(spread: float) -> None:
    """Log-normal noise, and a backend that becomes slower by half: it is followed."""
    noise = random.Random(11)
    accuracy = Accuracy()
    within = total = 0
    for number in range(4000):
        slower = 1.0 + 0.5 * number / 4000
        seen = slower * math.exp(noise.gauss(0.0, spread))
        if number > 300:
            total += 1
            within += seen <= accuracy.p95_ratio
        accuracy.observed(1.0, seen)
    assert within / total == pytest.approx(0.95, abs=0.02)
    assert accuracy.coverage_ratio == pytest.approx(0.95, abs=0.04)
    assert accuracy.p95_ratio == pytest.approx(1.5 * math.exp(1.645 * spread), rel=0.35)


def margin_after(count: int, ratio: float, *, predicted: float = 5.0, default: float = 0.95) -> Margin:
    noise = random.Random(5)
    margin = Margin(default)
    for number in range(count):
        margin.observed(predicted, predicted * ratio * math.exp(noise.gauss(0, 0.05)), ceiling=10.0, now=float(number))
    return margin


def test_the_margin_is_the_policys_until_something_was_seen() -> None:
    assert Margin(0.95).value(0.0) == pytest.approx(0.95)


def test_a_few_observations_move_it_a_little_and_many_to_one_over_the_bias() -> None:
    few, many = margin_after(5, 1.4).value(5.0), margin_after(1500, 1.4).value(1500.0)
    assert 0.85 < few < 0.95
    assert many == pytest.approx(1 / 1.4, rel=0.03)


@pytest.mark.parametrize("spread", [0.05, 0.3, 0.8])
def test_errors_that_cancel_out_leave_the_whole_ceiling_to_predictions_however_wide(spread: float) -> None:
    """The chance of being late knows of the spread; a margin for it too would count it twice."""
    noise = random.Random(3)
    margin = Margin(0.95)
    for number in range(3000):
        margin.observed(5.0, 5.0 * math.exp(noise.gauss(0, spread)), ceiling=10.0, now=float(number))
    assert margin.value(3000.0) == pytest.approx(1.0, abs=0.1)


def test_a_few_answers_that_come_very_late_do_not_move_it_while_most_come_as_said() -> None:
    margin = Margin(0.95)
    for number in range(2000):
        margin.observed(5.0, 40.0 if number % 10 == 0 else 5.0 + 0.01 * (number % 7), ceiling=10.0, now=float(number))
    assert margin.value(2000.0) == pytest.approx(1.0, abs=0.03)


def test_it_stays_within_its_limits() -> None:
    assert margin_after(2000, 40.0).value(2000.0) == 0.5
    assert margin_after(2000, 0.2).value(2000.0) == 1.0


def test_predictions_far_below_the_ceiling_say_nothing_of_the_margin() -> None:
    assert margin_after(500, 3.0, predicted=0.5).value(500.0) == pytest.approx(0.95)


def test_evidence_ages_so_that_an_avoided_backend_is_tried_again() -> None:
    margin = margin_after(300, 1.8)
    assert margin.value(300.0) < 0.65
    assert margin.value(300.0 + 6 * 3600) == pytest.approx(0.95, abs=0.02)
