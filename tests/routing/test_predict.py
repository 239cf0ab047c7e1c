"""Predictions: the model's figures by hand, and what must hold of them whatever the load."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.economics.windows import WindowView
from gateway.policy.schema import SpeedSettings
from gateway.routing.facts import RequestFacts
from gateway.routing.predict import Prediction, predict
from gateway.routing.snapshot import BackendState, LatencyCorrection
from gateway.routing.speed import SpeedModel

BOX = SpeedModel(0.07, 0.003, 32, 3000.0, 0.0, 192.0, 0.7)
CLOUD = SpeedModel(0.01, 0.0, 16, 10_000.0, 0.3, 1600.0, 0.0)
FACTS = RequestFacts("a", "chat", 600)


def of(speed: SpeedModel = BOX, facts: RequestFacts = FACTS, mean: float = 100.0, **state: object) -> Prediction:
    return predict(speed, msgspec.structs.replace(BackendState("b"), **state), facts, mean)


def test_an_idle_box_reads_the_prompt_and_decodes_alone() -> None:
    alone = of()
    assert alone.ttft_seconds == pytest.approx(0.2)
    assert alone.seconds_per_token == pytest.approx(0.073)
    assert alone.latency_seconds == pytest.approx(0.2 + 7.3)


def test_while_others_decode_a_prompt_has_only_a_share_of_the_machine() -> None:
    assert of(in_flight=4, decoding=4).ttft_seconds == pytest.approx(600 / 2100)
    assert of(in_flight=4, decoding=4).seconds_per_token == pytest.approx(0.07 + 0.003 * 5)


def test_prompts_before_it_are_read_first() -> None:
    assert of(in_flight=1, unread_prompt_tokens=2400).ttft_seconds == pytest.approx(1.0)


def test_a_minute_of_reading_slows_the_decoding_streams() -> None:
    assert of(prompt_share=0.5).seconds_per_token == pytest.approx(0.073 / 0.65)


def test_beyond_the_batch_it_waits_for_mean_answers_to_end() -> None:
    waits = of(in_flight=35, decoding=32, prompt_share=0.5, unread_prompt_tokens=1800)
    line = 4 * 100 * (0.07 + 0.003 * 32) / 32 / 0.65
    assert waits.ttft_seconds == pytest.approx(line + 600 / 2100)
    assert waits.seconds_per_token == pytest.approx((0.07 + 0.003 * 32) / 0.65)


def test_a_backend_whose_streams_do_not_slow_each_other_reads_prompts_side_by_side() -> None:
    busy = of(CLOUD, in_flight=10, decoding=5, unread_prompt_tokens=50_000, prompt_share=0.9)
    assert busy.ttft_seconds == pytest.approx(0.3 + 0.06)
    assert busy.seconds_per_token == pytest.approx(0.01)


def test_copies_share_the_load() -> None:
    one = WindowView(1, 20, 0, 100.0, 100.0, 1)
    two = replace(one, copies=2)
    assert of(CLOUD, in_flight=31, window=one).ttft_seconds > 1.0
    assert of(CLOUD, in_flight=31, window=two).ttft_seconds == pytest.approx(0.36)
    assert of(CLOUD, in_flight=32, window=two).ttft_seconds > 0.36


def test_a_learned_speed_takes_the_place_of_the_policys() -> None:
    quick = SpeedModel(0.01, 0.0, 32, 3000.0, 0.0, 3200.0, 0.7)
    state = BackendState("b", speed=quick)
    assert predict(BOX, state, FACTS, 100.0).seconds_per_token == pytest.approx(0.01)


def test_with_a_full_kv_cache_it_stands_in_the_servers_own_line() -> None:
    free = of(in_flight=10, decoding=4, kv_cache_usage=0.97)
    full = of(in_flight=10, decoding=4, kv_cache_usage=0.97, waiting=6)
    assert full.ttft_seconds == pytest.approx(7 * 100 * 0.166 / 32 + 600 / 2100)
    assert free.ttft_seconds < full.ttft_seconds
    assert of(in_flight=10, decoding=4, kv_cache_usage=0.5, waiting=6) == of(in_flight=10, decoding=4)


def test_the_length_expected_of_the_request_itself_comes_before_the_mean() -> None:
    longer = msgspec.structs.replace(FACTS, expected_output_tokens=500.0)
    assert of(facts=longer).latency_seconds == pytest.approx(0.2 + 500 * 0.073)
    capped = msgspec.structs.replace(longer, max_output_tokens=10)
    assert of(facts=capped).latency_seconds == pytest.approx(0.2 + 10 * 0.073)


def test_the_policys_speeds_make_the_curve() -> None:
    settings = SpeedSettings(
        single_stream_tokens_per_second=14, max_tokens_per_second=200, at_concurrency=32, prompt_tokens_per_second=3000
    )
    speed = SpeedModel.of(settings)
    assert speed.step(1) == pytest.approx(1 / 14)
    assert 32 / speed.step(32) == pytest.approx(200)
    assert speed.prompt_share_while_decoding == 0.7
    flat = SpeedModel.of(SpeedSettings(single_stream_tokens_per_second=95, at_concurrency=16))
    assert flat.prompt_share_while_decoding == 0.0


speeds = st.builds(
    SpeedModel,
    st.floats(0.0001, 1.0),
    st.floats(0.0, 0.1),
    st.integers(1, 64),
    st.floats(1.0, 1e5),
    st.floats(0.0, 5.0),
    st.just(100.0),
    st.floats(0.0, 0.99),
)
requests = st.builds(RequestFacts, st.just("a"), st.just("chat"), st.integers(0, 100_000))
states = st.builds(
    BackendState,
    st.just("b"),
    in_flight=st.integers(0, 200),
    decoding=st.integers(0, 64),
    foreign=st.integers(0, 100),
    unread_prompt_tokens=st.integers(0, 100_000),
    prompt_share=st.floats(0.0, 1.0),
    kv_cache_usage=st.none() | st.floats(0.0, 1.0),
    waiting=st.integers(0, 50),
    window=st.none() | st.builds(lambda copies: WindowView(copies, 0, 9, 9.0, 9.0, 1), st.integers(0, 4)),
    correction=st.builds(LatencyCorrection, st.floats(0.2, 5.0), st.floats(0.2, 5.0)),
)


@given(speeds, states, requests, st.floats(0.0, 5000.0))
def test_predictions_are_never_negative(
    speed: SpeedModel, state: BackendState, facts: RequestFacts, mean: float
) -> None:
    predicted = predict(speed, state, facts, mean)
    assert predicted.ttft_seconds >= 0
    assert predicted.seconds_per_token > 0
    assert predicted.latency_seconds >= predicted.ttft_seconds


@given(
    speeds,
    states,
    requests,
    st.floats(0.0, 5000.0),
    st.sampled_from(("in_flight", "decoding", "foreign", "unread_prompt_tokens", "waiting", "prompt_share")),
    st.integers(1, 50),
)
def test_more_load_never_predicts_faster(
    speed: SpeedModel, state: BackendState, facts: RequestFacts, mean: float, what: str, more: int
) -> None:
    now = getattr(state, what)
    busier = min(1.0, now + more / 50) if what == "prompt_share" else now + more
    light = predict(speed, state, facts, mean)
    heavy = predict(speed, msgspec.structs.replace(state, **{what: busier}), facts, mean)
    exact = 1 - 1e-12
    assert heavy.ttft_seconds >= light.ttft_seconds * exact
    assert heavy.seconds_per_token >= light.seconds_per_token * exact
    assert heavy.latency_seconds >= light.latency_seconds * exact
