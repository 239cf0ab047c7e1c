"""The world around the router: what it is shown and told, what is counted, and that nothing is left to chance."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.economics.money import SECONDS_PER_MONTH
from gateway.replay.requests import draw
from gateway.replay.run import REFUSED as NOBODY
from gateway.replay.run import Run
from gateway.replay.trace import Trace
from gateway.replay.world import simulate
from tests.replay.worlds import REFUSED, By, always, decision_for, everything_to, policy, requests, setting


def busy_hour(seed: int = 0) -> Trace:
    """A synthetic trace: an hour of uneven traffic."""
    generator = np.random.default_rng(seed)
    arrival = np.cumsum(generator.exponential(1.5, 2400) * (1 + np.sin(np.arange(2400) / 200)) + 0.01)
    return Trace("busy hour", arrival, generator.integers(50, 3000, 2400) * 1.0, generator.integers(1, 400, 2400) * 1.0)


def replayed(strategy: str, load: float = 0.8) -> Run:
    lab, world = policy(), setting()
    asked = draw(busy_hour(), lab.replay, lab.aliases, box=world.box, load=load)
    return simulate(asked, world.router(strategy=strategy), world, name=strategy)


def test_tokens_on_demand_are_charged_at_list_price() -> None:
    run = everything_to("base", requests((0.0, 600, 400), tuned=False, span=SECONDS_PER_MONTH))
    assert run.per_token_nanousd.tolist() == [400_000]
    assert run.usd_per_month == pytest.approx(0.0004)
    assert run.ttft_s[0] == pytest.approx(0.5 + 600 / 20000)
    assert run.end_s[0] == pytest.approx(0.53 + 399 / 80)


def test_an_answer_below_the_needed_quality_is_wrong_and_only_then() -> None:
    assert everything_to("base", requests((0.0, 10, 10), tuned=True)).wrong.tolist() == [True]
    assert everything_to("base", requests((0.0, 10, 10), tuned=False)).wrong.tolist() == [False]
    assert everything_to("box", requests((0.0, 10, 10), tuned=True)).wrong.tolist() == [False]


def test_a_held_request_is_asked_about_again_and_its_waiting_counts() -> None:
    world = setting()
    hold = By(lambda facts, fleet: decision_for(facts.alias, "base", world, hold_seconds=4.0 if fleet.at < 9 else None))
    run = simulate(requests((2.0, 0, 1), tuned=False), hold, world, name="hold")
    assert [(facts.elapsed_seconds, facts.asked_before) for facts, _ in hold.seen] == [(0, False), (4, True), (8, True)]
    assert [now for now, _ in hold.noted] == [2, 6, 10]
    assert (run.sent_s[0], run.ttft_s[0], run.decisions) == (10, pytest.approx(8.5), 3)


def test_a_refused_request_is_bad_but_neither_late_nor_wrong() -> None:
    router = By(lambda facts, fleet: REFUSED)
    run = simulate(requests((1.0, 10, 10)), router, setting(), name="refuse")
    assert run.backend.tolist() == [NOBODY]
    assert (run.refused.sum(), run.late.sum(), run.wrong.sum(), run.bad.sum()) == (1, 0, 0, 1)
    assert np.isnan(run.ttft_s[0])
    assert router.verdicts == [(1.0, True)]
    assert run.box_nanousd_per_month == 0


def test_the_router_is_told_each_verdict_once_when_the_answer_ends() -> None:
    world = setting()
    router = always("box", world)
    run = simulate(requests((0.0, 3000, 101), (1.0, 60_000, 2)), router, world, name="box")
    assert router.verdicts == [(pytest.approx(run.end_s[0]), False), (pytest.approx(run.end_s[1]), True)]


def test_the_router_never_sees_how_long_an_answer_will_be() -> None:
    world = setting()
    short, long = always("box", world), always("box", world)
    simulate(requests((0.0, 500, 2)), short, world, name="short")
    simulate(requests((0.0, 500, 2000)), long, world, name="long")
    assert short.seen == long.seen


def test_the_mean_output_length_is_learned_from_answers_that_have_ended() -> None:
    world = setting()
    router = always("base", world)
    simulate(requests(*((20.0 * i, 10, 1000) for i in range(60))), router, world, name="base")
    first, last = router.seen[0][1].mean_output_tokens, router.seen[-1][1].mean_output_tokens
    assert first.get("tuned", 150.0) == 150.0
    assert 800 < last["tuned"] < 1000


@pytest.mark.parametrize(
    "strategy", ["crossover", "box-only", "imported-only", "spill", "least-busy", "lowest-cost", "ceiling-greedy"]
)
def test_every_strategy_answers_every_request_and_twice_alike(strategy: str) -> None:
    one, two = replayed(strategy), replayed(strategy)
    for name in ("backend", "ttft_s", "end_s", "late", "wrong", "per_token_nanousd"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.windows == two.windows
    answered = ~one.refused
    assert not np.isnan(one.end_s[answered]).any()
    assert (one.end_s[answered] >= one.requests.arrival_s[answered] + one.ttft_s[answered] - 1e-9).all()
    assert (one.sent_s[answered] >= one.requests.arrival_s[answered]).all()


def test_progress_rises_to_one() -> None:
    seen: list[float] = []
    world = setting()
    simulate(
        requests(*((float(i), 10, 10) for i in range(50))), always("base", world), world, name="x", progress=seen.append
    )
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
