from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.facts import Ceiling, RequestFacts
from gateway.routing.lateness import is_late, late_chance
from gateway.routing.predict import Prediction


def test_an_answer_is_late_by_its_first_token_or_by_its_end() -> None:
    ceiling = Ceiling(10.0, 0.2)
    assert not is_late(ceiling, 10.0, 30.0, 100)
    assert is_late(ceiling, 10.1, 20.0, 100)
    assert is_late(ceiling, 1.0, 30.1, 100)
    assert is_late(Ceiling(latency_seconds=5.0), 1.0, 5.1, 100)
    assert not is_late(Ceiling(), 1e6, 1e9, 1)


def test_a_quick_start_makes_up_for_a_slow_pace_and_without_a_ttft_ceiling_nothing_does() -> None:
    assert not is_late(Ceiling(10.0, 0.2), 1.0, 30.0, 100)
    assert is_late(Ceiling(None, 0.2), 1.0, 30.0, 100)
    assert not is_late(Ceiling(None, 0.2), 50.0, 69.7, 100)
    assert not is_late(Ceiling(None, 0.2), 50.0, 50.0, 1)


def test_an_answer_that_was_not_streamed_is_judged_by_its_end() -> None:
    assert not is_late(Ceiling(10.0, 0.2), None, 30.0, 100)
    assert is_late(Ceiling(10.0, 0.2), None, 30.1, 100)
    assert not is_late(Ceiling(10.0), None, 60.0, 100)
    assert not is_late(Ceiling(None, 0.2), None, 60.0, 100)


MEAN = 100.0


def chance(predicted: Prediction, ceiling: Ceiling, elapsed: float = 0.0, most: int | None = None) -> float:
    asked = RequestFacts("domain", "chat", 300, most, ceiling=ceiling, elapsed_seconds=elapsed)
    return late_chance(predicted, asked, 1.0, MEAN)


def test_without_a_ceiling_nothing_is_late() -> None:
    assert chance(Prediction(1e6, 1e3, 1e9, 50, 9.0, 1.0), Ceiling()) == 0.0


def test_a_first_token_that_is_predicted_past_its_ceiling_is_late_for_certain() -> None:
    assert chance(Prediction(9.9, 0.1, 20.0), Ceiling(10.0)) == 0.0
    assert chance(Prediction(10.0, 0.1, 20.0), Ceiling(10.0)) == 1.0
    assert chance(Prediction(6.0, 0.1, 16.0), Ceiling(10.0), elapsed=5.0) == 1.0


def test_behind_one_other_the_wait_is_exponential() -> None:
    behind_one = Prediction(5.0, 0.1, 15.0, 1, 4.0, 1.0)
    assert chance(behind_one, Ceiling(10.0)) == pytest.approx(exp(-(10.0 - 1.0) / 4.0))


def test_the_more_are_ahead_the_likelier_it_is_late() -> None:
    chances = [chance(Prediction(3.0, 0.1, 13.0, ahead, 0.5, 1.0), Ceiling(10.0)) for ahead in (0, 1, 5, 10, 18)]
    assert chances == sorted(chances)
    assert chances[0] == 0.0
    assert 0.3 < chances[-1] < 0.7


def test_a_slow_pace_is_made_up_for_by_a_quick_start_unless_the_answer_becomes_long() -> None:
    slow = Prediction(0.0, 0.3, 30.0)
    assert chance(slow, Ceiling(10.0, 0.2)) == pytest.approx(exp(-10.0 / 0.1 / MEAN))
    assert chance(slow, Ceiling(10.0, 0.2), most=99) == 0.0
    assert chance(Prediction(0.0, 0.2, 20.0), Ceiling(10.0, 0.2)) == 0.0
    assert chance(slow, Ceiling(None, 0.2)) == 1.0


def test_a_ceiling_on_the_whole_is_missed_by_answers_that_are_too_long() -> None:
    assert chance(Prediction(5.0, 0.1, 15.0), Ceiling(latency_seconds=15.0)) == pytest.approx(exp(-1.0))
    assert chance(Prediction(5.0, 0.1, 15.0), Ceiling(latency_seconds=15.0), most=50) == 0.0
    assert chance(Prediction(15.0, 0.1, 25.0), Ceiling(latency_seconds=15.0)) == 1.0


ceilings = st.builds(Ceiling, *(st.one_of(st.none(), st.floats(0.001, 1e4)) for _ in range(3)))
seconds = st.floats(0, 1e5)


@given(ceilings, seconds, st.floats(0, 100), st.integers(0, 200), st.floats(0, 100), st.floats(0, 1e4), seconds)
def test_it_is_a_chance_and_never_falls_as_time_passes(
    ceiling: Ceiling, ttft: float, pace: float, ahead: int, between: float, mean: float, elapsed: float
) -> None:
    predicted = Prediction(ttft, pace, ttft + pace * mean, ahead, between, ttft / 2)
    now, later = (
        late_chance(predicted, RequestFacts("domain", "chat", 9, ceiling=ceiling, elapsed_seconds=spent), 0.95, mean)
        for spent in (elapsed, elapsed + 1.0)
    )
    assert 0.0 <= now <= 1.0
    assert later >= now - 1e-9
