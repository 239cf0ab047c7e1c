"""A backend that takes nobody for a moment is waited for: that is no reason to open a window."""

from __future__ import annotations

import pytest

from gateway.economics.windows import WindowView
from gateway.routing.snapshot import FleetSnapshot
from tests.routing.fleets import PACKED, SOON, THREE, WINDOW_PRICE, chosen, facts, fleet, router

AT_ITS_LIMIT = {"in_flight": 32, "max_in_flight": 32}
THROTTLED = {"throttled_seconds": 0.4}
BROKEN = {"circuit_open": True}


@pytest.mark.parametrize("box", [AT_ITS_LIMIT, THROTTLED])
def test_a_box_that_is_busy_for_a_moment_is_waited_for_while_there_is_time(box: dict[str, float]) -> None:
    asked = router(*THREE)
    waiting = asked.decide(facts(ceiling=SOON), fleet(box=box))
    assert waiting.hold_seconds is not None
    assert waiting.warm is None
    late = asked.decide(facts(ceiling=SOON, elapsed_seconds=9.0, asked_before=True), fleet(box=box))
    assert late.hold_seconds is None
    assert chosen(late) == "cmi"


def test_a_box_that_fails_is_not_waited_for() -> None:
    decision = router(*THREE).decide(facts(ceiling=SOON), fleet(box=BROKEN))
    assert decision.hold_seconds is None
    assert chosen(decision) == "cmi"


def test_what_the_base_model_can_answer_opens_no_window_while_that_is_throttled() -> None:
    decision = router(*THREE).decide(facts(ceiling=SOON, quality="any"), fleet(box=AT_ITS_LIMIT, base=THROTTLED))
    assert decision.hold_seconds is not None


def _full(copies: int) -> FleetSnapshot:
    """The box far over its batch, and every copy of the imported model full and past its free span."""
    window = WindowView(copies, 16 * copies, 0, 250.0, 0.0, WINDOW_PRICE)
    return fleet(window, box={"in_flight": 200, "decoding": 32})


def test_full_copies_are_joined_by_another_only_by_regret_and_never_beyond_the_most() -> None:
    asked, seen = router(*THREE), _full(copies=1)  # max_copies is 1
    for _ in range(5000):
        decision = asked.decide(facts(ceiling=SOON), seen)
        asked.note(facts(ceiling=SOON), decision, seen.at)
        assert chosen(decision) != "cmi"
    assert decision.notes is not None
    assert decision.notes.regret_nanousd > WINDOW_PRICE, "what was regretted is not forgotten"


def test_full_copies_of_a_window_that_is_paid_are_waited_for() -> None:
    decision = router(*THREE).decide(facts(ceiling=SOON), fleet(PACKED, box={"in_flight": 200, "decoding": 32}))
    assert decision.hold_seconds is not None
