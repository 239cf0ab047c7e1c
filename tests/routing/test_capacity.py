"""The learned capacity curve: it finds a machine's true speed, and nothing makes it wild."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.capacity import LearnedSpeed
from gateway.routing.speed import SpeedModel

SEED = SpeedModel(0.07, 0.003, 32, 3000.0, 0.2, 192.0, 0.7)


def taught(answers: int, base: float, each: float, spread: float = 0.1) -> LearnedSpeed:
    """Answers of a machine with steps of base + each*b seconds and log-normal noise, one a second."""
    noise = random.Random(3)
    learned = LearnedSpeed(SEED)
    for second in range(answers):
        streams = noise.uniform(1, 32)
        seen = (base + each * streams) * math.exp(noise.gauss(0, spread))
        learned.decoded(streams, seen, 0.0, float(second))
        learned.settled(float(second))
    return learned


def model(learned: LearnedSpeed, now: float) -> SpeedModel:
    made = learned.settled(now)
    assert made is not None
    return made


@pytest.mark.parametrize(("base", "each"), [(0.14, 0.006), (0.03, 0.001), (0.07, 0.003), (0.02, 0.01)])
def test_it_finds_the_machines_curve(base: float, each: float) -> None:
    speed = model(taught(400, base, each), 400.0)
    for streams, tolerance in ((1, 0.25), (8, 0.1), (32, 0.1)):
        assert speed.step(streams) == pytest.approx(base + each * streams, rel=tolerance)
    assert speed.max_tokens_per_second == pytest.approx(32 / (base + 32 * each), rel=0.15)


def test_what_prompts_took_of_the_time_is_not_blamed_on_decoding() -> None:
    learned = LearnedSpeed(SEED)
    for second in range(300):
        learned.decoded(8.0, SEED.step(8) / (1 - 0.7 * 0.5), 0.5, float(second))
        learned.settled(float(second))
    assert model(learned, 300.0).step(8) == pytest.approx(SEED.step(8), rel=0.02)


def test_the_prompt_speed_is_learned_apart_from_the_way_there() -> None:
    noise = random.Random(4)
    learned = LearnedSpeed(SEED)
    for second in range(600):
        tokens = noise.randrange(10, 3000)
        learned.read(tokens, 0.5 + tokens / 800.0, False, float(second))
        learned.settled(float(second))
    speed = model(learned, 600.0)
    assert speed.prompt_tokens_per_second == pytest.approx(800, rel=0.2)
    assert speed.first_token_seconds == pytest.approx(0.5, rel=0.3)


def test_nothing_is_known_before_the_first_answer() -> None:
    assert LearnedSpeed(SEED).settled(0.0) is None


def test_one_answer_moves_it_by_a_tenth_at_most() -> None:
    learned = taught(1, 100.0, 100.0)
    assert model(learned, 1.0).step(1) <= 1.1 * SEED.step(1) * 1.001
    assert model(learned, 1.0).step(32) <= 1.1 * SEED.step(32) * 1.001


def test_many_answers_at_once_move_it_by_half_at_most() -> None:
    learned = LearnedSpeed(SEED)
    for _ in range(1000):
        learned.decoded(1.0, 2 * SEED.step(1), 0.0, 1.0)
    assert model(learned, 1.0).step(1) <= 1.5 * SEED.step(1) * 1.001


def test_a_curve_that_nothing_confirms_goes_back_to_the_policys() -> None:
    learned = taught(300, 0.14, 0.006)
    for minute in range(300):
        learned.settled(300.0 + 60.0 * minute)
    assert model(learned, 20_000.0).step(8) == pytest.approx(SEED.step(8), rel=0.02)


def test_after_a_discount_new_answers_count_for_more() -> None:
    patient, shaken = taught(300, 0.14, 0.006), taught(300, 0.14, 0.006)
    shaken.discount(0.2)
    for second in range(300, 320):
        for learned in (patient, shaken):
            learned.decoded(8.0, SEED.step(8), 0.0, float(second))
            learned.settled(float(second))
    truth = SEED.step(8)
    assert abs(model(shaken, 320.0).step(8) - truth) < abs(model(patient, 320.0).step(8) - truth)


def test_a_machine_of_one_stream_has_one_speed() -> None:
    learned = LearnedSpeed(SpeedModel(0.05, 0.0, 1, 3000.0, 0.2, 20.0))
    for second in range(100):
        learned.decoded(1.0, 0.1, 0.0, float(second))
        learned.settled(float(second))
    assert model(learned, 100.0).step(1) == pytest.approx(0.1, rel=0.1)
    assert model(learned, 100.0).step_per_stream == 0.0


observations = st.lists(
    st.tuples(
        st.floats(allow_nan=True, allow_infinity=True),
        st.floats(allow_nan=True, allow_infinity=True),
        st.floats(0.0, 1.0),
        st.booleans(),
    ),
    max_size=60,
)


@given(observations)
def test_whatever_comes_it_stays_a_speed(seen: list[tuple[float, float, float, bool]]) -> None:
    learned = LearnedSpeed(SEED)
    for second, (streams, seconds, share, reading) in enumerate(seen):
        if reading:
            learned.read(abs(int(streams)) if math.isfinite(streams) else 0, seconds, share > 0.5, float(second))
        else:
            learned.decoded(streams, seconds, share, float(second))
        speed = learned.settled(float(second))
        if speed is None:
            continue
        assert 0.1 * SEED.step(1) * 0.99 <= speed.step(1) <= 10 * SEED.step(1) * 1.01
        assert speed.step(1) * 0.999 <= speed.step(32) <= 32 * speed.step(1) * 1.001
        assert speed.step_base >= -1e-12
        assert speed.step_per_stream >= -1e-12
        assert 10 < speed.prompt_tokens_per_second < 1e9
        assert 0 < speed.first_token_seconds < 10
