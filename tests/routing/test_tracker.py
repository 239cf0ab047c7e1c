"""What is believed of one backend: its load, its failures, what was learned of its speed. The clock is passed in."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from gateway.routing.facts import Ceiling, RequestFacts
from gateway.routing.flight import Flight
from gateway.routing.load import Load
from gateway.routing.predict import Prediction, predict
from gateway.routing.speed import SpeedModel
from gateway.routing.tracker import Tracker

SEED = SpeedModel(0.07, 0.003, 32, 1000.0, 0.0, 32 / 0.166)
CLOUD = SpeedModel(0.01, 0.0, 16, 10_000.0, 0.3, 1600.0, 0.0)


@pytest.fixture
def tracker() -> Tracker:
    return Tracker("box", 64, SEED)


def served(tracker: Tracker, began: float, ttft: float, per_token: float, tokens: int = 50, prompt: int = 100) -> float:
    """One streamed answer, predicted as the tracker's state says. Returns when it ended."""
    facts = RequestFacts("a", "chat", prompt)
    predicted = predict(tracker.seed, tracker.state(began, None), facts, 100.0)
    flight = tracker.sent(prompt, began)
    tracker.first_token(flight, began + ttft)
    end = began + ttft + per_token * (tokens - 1)
    tracker.observed(predicted, ttft, per_token, end, flight=flight, output_tokens=tokens, ceiling=Ceiling(10.0, 0.5))
    tracker.ended(flight, end)
    return end


# -- load ------------------------------------------------------------------------------------------------------------


def counts(tracker: Tracker, now: float) -> tuple[int, int, int]:
    state = tracker.state(now, None)
    return state.in_flight, state.decoding, state.unread_prompt_tokens


def test_counts_go_back_to_zero_however_an_attempt_ends(tracker: Tracker) -> None:
    def break_off() -> None:
        with tracker.under_way(50, lambda: 0.0):
            assert counts(tracker, 0.0) == (1, 0, 50)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        break_off()
    assert counts(tracker, 0.0) == (0, 0, 0)
    with tracker.under_way(50, lambda: 0.0) as first_token:
        first_token()
        first_token()
        assert counts(tracker, 0.0) == (1, 1, 0)
    assert counts(tracker, 0.0) == (0, 0, 0)


def test_prompts_are_read_in_the_order_sent_and_what_is_read_of_the_first_is_no_load(tracker: Tracker) -> None:
    first = tracker.sent(600, 0.0)
    tracker.sent(500, 0.1)
    assert tracker.state(0.4, None).unread_prompt_tokens == pytest.approx(700, abs=1)
    assert tracker.state(9.0, None).unread_prompt_tokens == 500  # late as it is: only the first is being read
    tracker.first_token(first, 9.0)
    # One decodes now: the second is read at a share of the speed.
    assert tracker.state(9.5, None).unread_prompt_tokens == pytest.approx(500 - 350, abs=1)


def test_the_prompt_share_is_the_time_in_which_a_prompt_was_read_over_about_a_minute(tracker: Tracker) -> None:
    now = 0.0
    for _ in range(600):  # a prompt is read for 0.3 s of each second
        flight = tracker.sent(300, now)
        tracker.first_token(flight, now + 0.3)
        tracker.ended(flight, now + 0.4)
        now += 1.0
    assert tracker.state(now, None).prompt_share == pytest.approx(0.3, abs=0.01)
    assert tracker.state(now + 60, None).prompt_share == pytest.approx(0.3 / math.e, abs=0.01)


def test_waiting_for_a_slot_is_not_reading(tracker: Tracker) -> None:
    for _ in range(SEED.batch):
        tracker.first_token(tracker.sent(1, 0.0), 0.0)
    tracker.sent(500, 0.0)
    state = tracker.state(30.0, None)
    assert state.prompt_share == 0.0
    assert state.unread_prompt_tokens == 500


def test_the_way_to_a_backend_is_not_reading() -> None:
    cloud = Tracker("cloud", 64, CLOUD)
    for second in range(100):
        flight = cloud.sent(100, float(second))
        cloud.first_token(flight, second + 0.31)
        cloud.ended(flight, second + 0.5)
    assert cloud.state(100.0, None).prompt_share < 0.02


def test_an_answer_that_is_not_streamed_decodes_from_when_it_was_predicted_to(tracker: Tracker) -> None:
    with tracker.under_way(500, lambda: 0.0, 0.5):
        assert counts(tracker, 0.4) == (1, 0, pytest.approx(100, abs=1))
        assert counts(tracker, 5.0) == (1, 1, 0)
        assert tracker.state(20.0, None).prompt_share < 0.1
    assert counts(tracker, 20.0) == (0, 0, 0)


def test_requests_of_others_are_what_the_server_counts_beyond_ours(tracker: Tracker) -> None:
    tracker.scraped(Load(0.0, requests=7, own_in_flight=2, kv_cache_usage=0.3, waiting=3))
    state = tracker.state(1.0, None)
    assert (state.foreign, state.waiting, state.kv_cache_usage) == (5, 3, 0.3)
    late = tracker.state(6.0, None)  # too old to say anything
    assert (late.foreign, late.waiting, late.kv_cache_usage) == (0, 0, None)
    assert late.metrics_age_seconds == 6.0


def test_a_page_that_comes_after_a_newer_one_is_left_out(tracker: Tracker) -> None:
    tracker.scraped(Load(2.0, 1, 0, None))
    tracker.scraped(Load(1.0, 50, 0, None))
    assert tracker.state(2.5, None).foreign == 1


def test_a_cold_start_that_is_long_overdue_is_not_under_way(tracker: Tracker) -> None:
    tracker.cold_start_began(0.0, 60.0)
    tracker.cold_start_began(5.0, 60.0)  # the same one, told again
    assert tracker.state(20.0, None).restoring_seconds == pytest.approx(40.0)
    assert tracker.state(20.0, None).copies_starting == 1
    assert tracker.state(70.0, None).restoring_seconds == 0.0
    late = tracker.state(7200.0, None)
    assert (late.restoring_seconds, late.copies_starting) == (None, 0)


def test_an_answer_ends_a_first_copys_cold_start_and_not_that_of_another(tracker: Tracker) -> None:
    tracker.cold_start_began(0.0, 60.0)
    tracker.cold_start_began(30.0, 60.0, another=True)
    assert tracker.state(40.0, None).copies_starting == 2
    tracker.answering()
    state = tracker.state(41.0, None)
    assert (state.restoring_seconds, state.copies_starting) == (pytest.approx(49.0), 1)
    assert tracker.state(91.0, None).copies_starting == 0


def test_utilization_is_of_the_last_minute(tracker: Tracker) -> None:
    for second in range(120):
        tracker.generated(round(0.5 * SEED.max_tokens_per_second), float(second))
    assert tracker.state(120.0, None).utilization == pytest.approx(0.5 * (1 - 0.135), rel=0.05)
    assert tracker.state(600.0, None).utilization == pytest.approx(0.0, abs=1e-3)


# -- what is learned -------------------------------------------------------------------------------------------------


def test_corrections_follow_what_came_in_steps_and_within_limits(tracker: Tracker) -> None:
    tracker.observed(Prediction(1.0, 0.1, 5.0), ttft_seconds=100.0, seconds_per_token=0.001, now=0.0)
    first = tracker.state(0.0, None).correction
    assert 1.0 < first.ttft < 1.2
    assert 0.8 < first.time_per_token < 1.0
    for _ in range(1000):
        tracker.observed(Prediction(1.0, 0.1, 5.0), ttft_seconds=100.0, seconds_per_token=0.001, now=0.0)
    correction = tracker.state(1.1, None).correction
    assert correction.ttft == pytest.approx(5.0, rel=1e-2)
    assert correction.time_per_token == pytest.approx(0.2, rel=1e-2)


def test_a_long_queue_does_not_correct_for_the_same_error_again_and_again(tracker: Tracker) -> None:
    """A hundred requests, all predicted before the first of them ended, all half as quick as predicted."""
    facts = RequestFacts("a", "chat", 1)
    flights = []
    for _ in range(100):
        predicted = predict(SEED, tracker.state(0.0, None), facts, 100.0)
        flights.append((tracker.sent(1, 0.0), predicted))
    for second, (flight, predicted) in enumerate(flights):
        now = 100.0 + second
        tracker.first_token(flight, now)
        seen = 2 * predicted.seconds_per_token
        tracker.observed(predicted, 2 * predicted.ttft_seconds, seen, now, flight=flight, output_tokens=2)
        tracker.ended(flight, now)
    assert tracker.correction_at(200.0).time_per_token == pytest.approx(2.0, rel=0.05)
    assert tracker.correction_at(200.0).ttft == pytest.approx(2.0, rel=0.05)


def test_a_correction_that_nothing_confirms_fades(tracker: Tracker) -> None:
    for _ in range(100):
        tracker.observed(Prediction(1.0, 0.1, 5.0), ttft_seconds=100.0, seconds_per_token=9.0, now=0.0)
    later = tracker.state(3600.0, None).correction
    assert later.ttft == pytest.approx(1.0, abs=1e-3)
    assert later.time_per_token == pytest.approx(1.0, abs=1e-3)


def test_until_something_was_observed_the_policys_speed_stands(tracker: Tracker) -> None:
    assert tracker.state(0.0, None).speed is None


def test_a_cold_start_teaches_nothing_of_a_copy_that_is_up() -> None:
    cloud = Tracker("cloud", 64, CLOUD)
    now = 0.0
    for _ in range(30):
        cloud.cold_start_began(now, 60.0)
        flight = cloud.sent(100, now)
        cloud.first_token(flight, now + 50.0)
        cloud.answering()
        cloud.observed(Prediction(0.3, 0.01, 1.0), 50.0, 0.01, now + 51, flight=flight, output_tokens=100)
        cloud.ended(flight, now + 51.0)
        now += 1000.0
    state = cloud.state(now, None)
    assert state.correction.ttft == pytest.approx(1.0, abs=0.01)
    assert predict(CLOUD, state, RequestFacts("a", "chat", 100), 100.0).ttft_seconds == pytest.approx(0.31, rel=0.05)


def test_what_lasts_goes_into_the_curve_and_leaves_the_correction_at_one(tracker: Tracker) -> None:
    """A box half as quick as the policy says: at first the correction, in the end the learned speed carries it."""
    now, ratios = 0.0, []
    for _ in range(400):
        now = served(tracker, now, 0.2, 2 * SEED.step(1)) + 1.0
        ratios.append(tracker.correction_at(now).time_per_token)
    state = tracker.state(now, None)
    assert state.speed is not None
    assert state.speed.step(1) == pytest.approx(2 * SEED.step(1), rel=0.1)
    assert max(ratios) > 1.15
    assert state.correction.time_per_token == pytest.approx(1.0, abs=0.08)
    predicted = predict(SEED, state, RequestFacts("a", "chat", 100), 100.0)
    assert predicted.seconds_per_token == pytest.approx(2 * SEED.step(1), rel=0.1)


def test_streams_that_decode_at_the_same_time_are_what_a_time_per_token_is_learned_against() -> None:
    """Batches of 1 and of 16 in turn, on a machine of another slope than the policy's."""
    tracker = Tracker("box", 64, SEED)
    now = 0.0
    for round_ in range(300):
        streams = 16 if round_ % 2 else 1
        step = 0.05 + 0.006 * streams
        flights = [tracker.sent(1, now) for _ in range(streams)]
        for flight in flights:
            tracker.first_token(flight, now)
        now += 49 * step
        for flight in flights:
            told(tracker, flight, step, now)
        for flight in flights:
            tracker.ended(flight, now)
    speed = tracker.state(now + 2, None).speed
    assert speed is not None
    assert speed.step(1) == pytest.approx(0.056, rel=0.15)
    assert speed.step(16) == pytest.approx(0.146, rel=0.15)


def told(tracker: Tracker, flight: Flight, step: float, now: float) -> None:
    tracker.observed(Prediction(0.1, 0.1, 5.0), 0.001, step, now, flight=flight, output_tokens=50)


def test_one_absurd_measurement_moves_no_prediction_by_much(tracker: Tracker) -> None:
    now = 0.0
    for _ in range(50):
        now = served(tracker, now, 0.1, SEED.step(1)) + 1.0
    facts = RequestFacts("a", "chat", 100)
    before = predict(SEED, tracker.state(now + 1, None), facts, 100.0)
    for per_token in (1e6, 1e-12, 0.0, math.inf, math.nan):
        flight = tracker.sent(100, now)
        tracker.first_token(flight, now)
        tracker.observed(before, per_token, per_token, now + 1e-9, flight=flight, output_tokens=50)
        tracker.ended(flight, now)
    after = predict(SEED, tracker.state(now + 3, None), facts, 100.0)
    assert 0.4 < after.seconds_per_token / before.seconds_per_token < 2.5
    assert math.isfinite(after.ttft_seconds)
    assert after.ttft_seconds > 0


def page(at: float, **changed: Any) -> Load:
    settings: dict[str, Any] = {
        "requests": 4, "own_in_flight": 0, "kv_cache_usage": 0.1, "generated_tokens": 1000.0, "started_at": 1.0,
        "models": frozenset({"m"}),
    }  # fmt: skip
    return Load(at, **(settings | changed))


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize(
    "changed", [{"started_at": 2.0}, {"generated_tokens": 0.0}, {"models": frozenset({"another"})}]
)
def test_what_was_learned_of_a_server_counts_for_little_once_it_was_restarted_or_its_model_swapped(
    tracker: Tracker, changed: dict[str, Any], gone: bool
) -> None:
    """Whether its observer saw nothing of it for a while, or not."""
    now = 0.0
    for _ in range(60):
        now = served(tracker, now, 0.2, 3 * SEED.step(1)) + 1.0
    tracker.scraped(page(now))
    learned = tracker.state(now + 1, None)
    if gone:
        tracker.lost("nobody answers")
    tracker.scraped(page(now + 2, **changed))
    for second in range(600):  # nothing is sent; its pages come
        tracker.state(now + 3 + second, None)
    after = tracker.state(now + 603, None)
    assert learned.speed is not None
    assert after.speed is not None
    assert abs(after.speed.step(1) - SEED.step(1)) < 0.85 * abs(learned.speed.step(1) - SEED.step(1))
    again = tracker.state(now + 604, None)
    assert abs(math.log(again.correction.time_per_token)) <= abs(math.log(learned.correction.time_per_token))


def test_the_same_server_seen_again_is_no_restart(tracker: Tracker) -> None:
    now = 0.0
    for _ in range(60):
        now = served(tracker, now, 0.2, 3 * SEED.step(1)) + 1.0
    before = tracker.state(now, None)
    tracker.scraped(page(now))
    tracker.lost("nobody answers")
    tracker.scraped(page(now + 1, generated_tokens=1000.0))
    assert tracker.state(now + 1, None).speed == before.speed


def test_a_servers_own_counts_teach_its_speed_where_others_send_it_requests(tracker: Tracker) -> None:
    """Eight foreign streams, each token after 0.2 s where the policy says 0.094."""
    for second in range(600):
        gaps = 40.0 * second
        tracker.scraped(
            page(float(second), requests=8, generated_tokens=gaps, token_gaps=gaps, token_gap_seconds=0.2 * gaps)
        )
        tracker.state(float(second), None)
    speed = tracker.state(600.5, None).speed
    assert speed is not None
    assert speed.step(8) == pytest.approx(0.2, rel=0.2)


def test_the_margin_is_judged_by_the_answers_end_so_that_a_quick_start_makes_up_for_a_slow_pace() -> None:
    """A pace twice as slow as predicted: within the ceilings taken together, beyond them where there is only a pace."""
    margins = {}
    for ceiling in (Ceiling(10.0, 0.2), Ceiling(None, 0.2)):
        tracker = Tracker("box", 64, SEED)
        for second in range(300):
            flight = tracker.sent(1, 2.0 * second)
            tracker.first_token(flight, 2.0 * second)
            tracker.observed(
                Prediction(1.0, 0.1, 9.0), 1.0, 0.2, 2.0 * second + 1, flight=flight, output_tokens=5, ceiling=ceiling
            )
            tracker.ended(flight, 2.0 * second + 1)
        margins[ceiling.ttft_seconds] = tracker.margin(600.0)
    assert margins[None] < 0.65
    assert margins[10.0] == pytest.approx(0.95)


def test_a_tracker_that_does_not_learn_stays_with_the_policy() -> None:
    tracker = Tracker("box", 64, SEED, learns=False)
    now = 0.0
    for _ in range(50):
        now = served(tracker, now, 3.0, 3 * SEED.step(1)) + 1.0
    state = tracker.state(now, None)
    assert (state.speed, state.margin, state.correction.ttft) == (None, None, 1.0)
    assert tracker.time_per_token_accuracy.error_ratio == pytest.approx(2 / 3, rel=0.1)


def test_predictions_stay_sane_whatever_comes() -> None:
    """An hour of nonsense: no prediction is negative, infinite or more than a few hundred times the policy's."""
    random_ = random.Random(7)
    tracker = Tracker("box", 64, SEED)
    facts = RequestFacts("a", "chat", 300)
    now = 0.0
    flights: list[Flight] = []
    for _ in range(3000):
        now += random_.expovariate(1.0)
        if random_.random() < 0.5 or not flights:
            flights.append(tracker.sent(random_.choice((0, 1, 300, 100_000)), now))
        else:
            flight = flights.pop(random_.randrange(len(flights)))
            if random_.random() < 0.8:
                tracker.first_token(flight, now)
                seen = random_.choice((0.0, 1e-9, 0.1, 5.0, 1e9, math.inf))
                tracker.observed(Prediction(1.0, 0.1, 9.0), seen, seen, now, flight=flight, output_tokens=9)
            tracker.ended(flight, now)
        if random_.random() < 0.1:
            tracker.scraped(page(now, requests=random_.randrange(99), generated_tokens=1e6 * random_.random()))
        state = tracker.state(now, None)
        predicted = predict(SEED, state, facts, 100.0)
        assert 0 <= predicted.ttft_seconds < 1e5
        assert SEED.step(1) / 60 < predicted.seconds_per_token < 300
        assert 0.5 <= (state.margin or 1.0) <= 1.0
        assert 0.0 <= state.prompt_share <= 1.0
        assert state.unread_prompt_tokens >= 0
