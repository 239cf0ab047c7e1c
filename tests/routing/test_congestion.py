"""The chance of an overload: a guess until a state has been seen, then what followed when the boxes stood like this."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.congestion import Congestion

AHEAD = 60.0
loads = st.floats(0, 1e6)


def lived(share: float, seconds: int, pressure: float = 0.5, demand: float = 0.5) -> Congestion:
    """A state that lasts two minutes at a time; in this share of the times an overload ends it."""
    congestion, chance = Congestion(AHEAD), random.Random(3)
    for second in range(seconds):
        congestion.seen(pressure, demand, second * 1.0)
        if second % 60 == 59 and chance.random() < share:
            congestion.overload(second * 1.0)
    return congestion


def test_before_anything_was_seen_it_is_guessed_higher_for_more_load_and_more_demand() -> None:
    congestion = Congestion(AHEAD)
    idle, busy, full = (congestion.chance(pressure, 0.2) for pressure in (0.0, 0.6, 1.4))
    assert 0.0 <= idle < busy < full <= 1.0
    assert congestion.chance(0.6, 1.2) > busy


def test_a_state_that_never_led_to_an_overload_becomes_safe() -> None:
    guessed = Congestion(AHEAD).chance(0.5, 0.5)
    assert lived(0.0, 3600).chance(0.5, 0.5) < guessed / 10


def test_a_state_that_always_leads_to_one_becomes_certain() -> None:
    assert lived(1.0, 3600).chance(0.5, 0.5) > 0.9


def test_the_chance_comes_near_the_share_that_was_seen() -> None:
    assert 0.15 < lived(0.25, 20_000).chance(0.5, 0.5) < 0.35


def test_other_states_keep_their_guess() -> None:
    fresh, learned = Congestion(AHEAD), lived(0.0, 3600)
    assert learned.chance(1.2, 0.5) == fresh.chance(1.2, 0.5)
    assert learned.chance(0.5, 1.4) == fresh.chance(0.5, 1.4)


def test_only_what_was_seen_shortly_before_an_overload_counts_as_leading_to_it() -> None:
    congestion = Congestion(AHEAD)
    for second in range(100):
        congestion.seen(0.6, 0.1, float(second))
    for second in range(200, 300):
        congestion.seen(0.9, 0.9, float(second))
    before = Congestion(AHEAD)
    congestion.overload(301.0)
    assert congestion.chance(0.6, 0.1) < before.chance(0.6, 0.1)
    assert congestion.chance(0.9, 0.9) > 0.5


def test_a_state_counts_once_a_second_however_many_requests_come() -> None:
    busy, quiet = Congestion(AHEAD), Congestion(AHEAD)
    for second in range(200):
        quiet.seen(0.5, 0.5, float(second))
        for part in range(20):
            busy.seen(0.5, 0.5, second + part / 20)
    assert busy.chance(0.5, 0.5) == quiet.chance(0.5, 0.5)


def test_old_news_fades() -> None:
    congestion = lived(1.0, 3600)
    for second in range(3600, 3600 + 2 * 3600):
        congestion.seen(0.5, 0.5, float(second))
    assert congestion.chance(0.5, 0.5) < 0.1


@given(st.lists(st.tuples(loads, loads, st.floats(0, 100), st.booleans()), max_size=50), loads, loads)
def test_it_is_always_a_chance(steps: list[tuple[float, float, float, bool]], pressure: float, demand: float) -> None:
    congestion, now = Congestion(AHEAD), 0.0
    for at_pressure, at_demand, seconds, over in steps:
        now += seconds
        congestion.seen(at_pressure, at_demand, now)
        if over:
            congestion.overload(now)
        assert 0.0 <= congestion.chance(pressure, demand) <= 1.0
        assert 0.0 <= congestion.chance(at_pressure, at_demand) <= 1.0
