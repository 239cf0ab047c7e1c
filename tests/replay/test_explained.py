"""One request of a trace explained: the router's own words, at the moment it was asked in the replay."""

from __future__ import annotations

import pytest

from gateway.replay.explained import NoSuchRequestError, explained, first_from
from gateway.replay.world import simulate
from tests.replay.worlds import By, requests, setting


def test_the_explanation_is_of_that_request_and_of_what_the_replay_then_did() -> None:
    world = setting()
    made = requests(*((k * 2.0, 100 + k, 200) for k in range(40)))
    (told,) = explained(made, world.router(), world, 25)
    assert told["at_seconds"] == 48.0
    assert told["request"]["estimated_input_tokens"] == 124
    assert [one["backend"] for one in told["candidates"]] == ["box", "cmi", "base"]
    run = simulate(made, world.router(), world, name="the same")
    assert told["chosen"] == run.backends[run.backend[24]]


def test_a_request_that_was_held_has_one_explanation_for_each_time_it_was_asked() -> None:
    """Relaxed requests onto a box that is full for minutes."""
    world = setting()
    made = requests(*((0.001 * k, 3000, 1500) for k in range(120)), interactive=False)
    told = explained(made, world.router(), world, 110)
    assert len(told) > 1
    assert all(one["hold_seconds"] for one in told[:-1])
    assert told[-1]["hold_seconds"] is None
    assert [one["request"]["held_before"] for one in told[:2]] == [False, True]
    assert all(one["request"]["estimated_input_tokens"] == 3000 for one in told)


def test_what_comes_after_it_is_not_replayed() -> None:
    world = setting()
    made = requests(*((k * 2.0, 100, 10) for k in range(40)))
    inner = world.router()
    asked = By(inner.decide)
    explained(made, asked, world, 7)
    assert len(asked.seen) == 7


def test_a_request_may_be_named_by_when_it_came() -> None:
    made = requests((0.0, 10, 10), (5.0, 10, 10), (9.0, 10, 10))
    assert [first_from(made, seconds) for seconds in (0.0, 0.1, 5.0, 9.0)] == [1, 2, 2, 3]
    with pytest.raises(NoSuchRequestError, match="the last one comes at 9 s"):
        first_from(made, 9.5)
    with pytest.raises(NoSuchRequestError, match="requests 1 to 3"):
        explained(made, setting().router(), setting(), 4)
