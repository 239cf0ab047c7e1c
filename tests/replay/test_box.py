"""The simulated box: a machine with continuous batching, on cases that can be worked out by hand."""

from __future__ import annotations

import pytest

from gateway.replay.world import simulate
from tests.replay.worlds import By, always, decision_for, everything_to, requests, setting

ALONE = 0.0686 + 0.00287
"""Seconds for a token of a stream alone."""


def step(streams: int) -> float:
    return 0.0686 + 0.00287 * streams


def test_the_shipped_policy_gives_the_step_that_it_says() -> None:
    box = setting().box
    assert box is not None
    assert (box.step_base, box.step_per_stream) == (pytest.approx(0.0686, rel=1e-9), pytest.approx(0.00287, rel=1e-9))
    assert (1 / box.step(1), 32 / box.step(32)) == (pytest.approx(14, abs=0.05), pytest.approx(200, abs=1))


def test_one_request_alone_reads_its_prompt_at_full_speed_and_decodes_at_the_speed_of_one_stream() -> None:
    run = everything_to("box", requests((5.0, 3000, 101)))
    assert run.ttft_s[0] == pytest.approx(1.0)
    assert run.end_s[0] == pytest.approx(5.0 + 1.0 + 100 * ALONE)
    assert run.variable_nanousd == 0
    assert run.usd_per_month == pytest.approx(199)


def test_a_request_of_one_token_ends_with_its_prompt() -> None:
    run = everything_to("box", requests((0.0, 3000, 1)))
    assert run.end_s[0] == run.ttft_s[0] == pytest.approx(1.0)


def test_a_full_batch_makes_two_hundred_tokens_a_second_in_all() -> None:
    run = everything_to("box", requests(*[(0.0, 1, 500)] * 640))
    assert 640 * 500 / run.end_s.max() == pytest.approx(199.45, rel=0.01)


def test_two_streams_share_the_machine_and_the_one_left_is_quicker_again() -> None:
    # Prompts of no length to speak of: both decode from the start.
    run = everything_to("box", requests((0.0, 0, 11), (0.0, 0, 21)))
    assert run.end_s[0] == pytest.approx(10 * step(2))
    assert run.end_s[1] == pytest.approx(10 * step(2) + 10 * step(1))


def test_a_prompt_takes_seven_tenths_of_the_machine_while_another_decodes() -> None:
    run = everything_to("box", requests((0.0, 0, 1001), (10.0, 2100, 1)))
    assert run.ttft_s[1] == pytest.approx(2100 / (0.7 * 3000))
    decoded_while_reading = 1.0 * 0.3 / step(1)
    assert run.end_s[0] == pytest.approx(10 + 1 + (1000 - 10 / step(1) - decoded_while_reading) * step(1))


def test_prompts_are_read_in_the_order_of_arrival() -> None:
    run = everything_to("box", requests((0.0, 3000, 1), (0.1, 3000, 1), (0.2, 300, 1)))
    assert run.ttft_s.tolist() == pytest.approx([1.0, 1.9, 1.9])


def test_a_request_beyond_the_batch_waits_until_one_has_ended() -> None:
    run = everything_to("box", requests(*[(0.0, 0, 101)] * 32, (1.0, 0, 2)))
    first_end = run.end_s[:32].min()
    assert run.ttft_s[32] == pytest.approx(first_end - 1.0)


def test_the_router_is_shown_who_waits_what_is_unread_and_how_busy_reading_has_been() -> None:
    world = setting()
    router = always("box", world)
    simulate(requests((0.0, 3000, 50), (0.5, 600, 1), (0.5, 900, 1), (30.0, 1, 1)), router, world, name="box")
    first, second, third, last = (fleet.backends["box"] for _, fleet in router.seen)
    assert (first.in_flight, first.unread_prompt_tokens, first.prompt_share) == (0, 0, 0)
    assert (second.in_flight, second.decoding, second.unread_prompt_tokens) == (1, 0, 1500)
    assert (third.in_flight, third.unread_prompt_tokens) == (2, 2100)
    assert third.prompt_share == second.prompt_share == pytest.approx(1 - 2.718281828 ** (-0.5 / 60))
    assert (last.in_flight, last.unread_prompt_tokens) == (0, 0)
    assert 0 < last.prompt_share < 1.6 / 60


def test_a_line_at_the_box_is_as_long_as_the_router_lets_it_be() -> None:
    world = setting()
    router = By(
        lambda facts, fleet: decision_for(facts.alias, "base" if fleet.backends["box"].in_flight >= 3 else "box", world)
    )
    run = simulate(requests(*[(0.0, 30, 30)] * 10), router, world, name="three")
    assert run.share("box") == pytest.approx(0.3)
