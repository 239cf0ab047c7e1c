"""Through the production tracker the router sees what a gateway can see: true counts, and speeds that are learned."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.replay.requests import draw
from gateway.replay.world import simulate
from gateway.routing.predict import Prediction
from tests.replay.test_world import busy_hour
from tests.replay.worlds import By, decision_for, policy, requests, setting


def shown(learning: bool, backend: str = "box", load: float = 0.6) -> By:
    lab, world = policy(), setting()
    made = draw(busy_hour(), lab.replay, lab.aliases, box=world.box, load=load)
    router = By(lambda facts, fleet: decision_for(facts.alias, backend, world))
    simulate(made, router, world, name=backend, learning=learning)
    return router


@pytest.mark.parametrize("backend", ["box", "base"])
def test_what_is_under_way_is_what_the_backend_has(backend: str) -> None:
    for (_, truth), (_, seen) in zip(shown(False, backend).seen, shown(True, backend).seen, strict=True):
        assert seen.backends[backend].in_flight == truth.backends[backend].in_flight


def test_the_box_is_seen_as_it_is_but_for_where_it_stands_in_a_prompt() -> None:
    pairs = list(zip(shown(False).seen, shown(True).seen, strict=True))
    for (_, truth), (_, seen) in pairs:
        assert seen.backends["box"].decoding == truth.backends["box"].decoding
    shares = np.array([(t.backends["box"].prompt_share, s.backends["box"].prompt_share) for (_, t), (_, s) in pairs])
    assert np.abs(shares[:, 0] - shares[:, 1]).mean() < 0.1


def test_a_cold_start_is_expected_from_the_call_that_brings_it_on() -> None:
    world = setting()
    router = By(lambda facts, fleet: decision_for(facts.alias, "cmi", world))
    simulate(requests((0.0, 0, 1), (20.0, 0, 1), (70.0, 0, 1)), router, world, name="cmi", learning=True)
    first, second, third = (fleet.backends["cmi"] for _, fleet in router.seen)
    assert (first.restoring_seconds, first.copies_starting) == (None, 0)
    assert (second.restoring_seconds, second.copies_starting) == (pytest.approx(40), 1)
    assert (third.restoring_seconds, third.copies_starting) == (None, 0)


def test_speeds_that_are_right_in_the_policy_stay_right() -> None:
    lab, world = policy(), setting()
    made = draw(busy_hour(), lab.replay, lab.aliases, box=world.box, load=0.6)
    router = By(lambda facts, fleet: world.router(strategy="ceiling-greedy").decide(facts, fleet))
    simulate(made, router, world, name="greedy", learning=True)
    learned = router.seen[-1][1].backends["box"].speed
    assert world.box is not None
    assert learned is not None
    assert learned.step(1) == pytest.approx(world.box.step(1), rel=0.05)
    assert learned.step(32) == pytest.approx(world.box.step(32), rel=0.05)
    assert isinstance(router.noted[0][1].order[0].predicted, Prediction)


def test_two_replays_that_learn_are_alike() -> None:
    lab, world = policy(), setting()
    made = draw(busy_hour(), lab.replay, lab.aliases, box=world.box, load=0.9)
    one, two = (simulate(made, world.router(), world, name="x", learning=True) for _ in range(2))
    np.testing.assert_array_equal(one.backend, two.backend)
    np.testing.assert_array_equal(one.end_s, two.end_s)
