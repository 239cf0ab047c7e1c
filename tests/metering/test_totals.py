"""What was counted, over any stretch of the past."""

from __future__ import annotations

import pytest

from gateway.metering.totals import LONG_KEPT, Totals, keys_of

KEYS = keys_of(["box", "cmi"], [("box", "cmi")], ["cmi"])


def counted(seconds: int, per_second: int = 2) -> Totals:
    totals = Totals(KEYS, 0.0)
    for second in range(1, seconds + 1):
        totals.add(("output", "box"), per_second)
        totals.remember(float(second))
    return totals


def test_a_stretch_has_what_was_counted_in_it_and_its_length() -> None:
    change = counted(100).over(30.0)
    assert (change["output", "box"], change.seconds) == (60, 30.0)
    assert change["cost", "cmi"] == 0


def test_a_stretch_longer_than_the_life_is_the_whole_life() -> None:
    change = counted(40).over(300.0)
    assert (change["output", "box"], change.seconds) == (80, 40.0)


def test_an_unknown_backend_counts_nothing_but_cannot_be_added_to() -> None:
    totals = counted(3)
    assert totals["output", "nobody"] == 0
    with pytest.raises(KeyError):
        totals.add(("output", "nobody"), 1)


def test_a_chart_of_the_last_minutes_has_a_point_a_second_over_the_five_minutes_before_it() -> None:
    moments = counted(700).moments(100.0)
    assert [at for at, _ in moments] == [float(at) for at in range(600, 701)]
    assert all(change.seconds == 300.0 and change["output", "box"] == 600 for _, change in moments)


def test_a_chart_of_the_day_has_a_point_a_minute_and_memory_stays_bounded() -> None:
    totals = counted(2 * 24 * 3600, per_second=1)
    moments = totals.moments(24 * 3600.0)
    assert len(moments) == pytest.approx(LONG_KEPT, abs=5)
    assert all(change["output", "box"] == pytest.approx(change.seconds, rel=0.01) for _, change in moments)


def test_before_anything_was_remembered_there_is_nothing_to_draw() -> None:
    assert Totals(KEYS, 5.0).moments(900.0) == []


def test_looking_at_the_books_often_makes_the_remembered_past_no_shorter() -> None:
    totals = Totals(KEYS, 0.0)
    for tenth in range(1, 20_000):
        totals.add(("output", "box"), 1)
        totals.remember(tenth / 10)
    change = totals.over(900.0)
    assert change.seconds == pytest.approx(900.0, abs=1.0)
    assert change["output", "box"] == pytest.approx(change.seconds * 10)
