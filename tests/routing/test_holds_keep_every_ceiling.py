"""A request is held only while all of its ceilings can still be kept."""

from __future__ import annotations

import pytest

from gateway.routing.facts import Ceiling
from tests.routing.fleets import FULL, PACKED, THREE, facts, fleet, router, warmed


@pytest.mark.parametrize("elapsed", [0.0, 15.0, 200.0])
def test_a_patient_first_token_does_not_outwait_an_impatient_last_one(elapsed: float) -> None:
    asked = facts(ceiling=Ceiling(300.0, 1.0, 15.0), elapsed_seconds=elapsed, asked_before=elapsed > 0)
    assert warmed(router(*THREE)).decide(asked, fleet(box=FULL)).hold_seconds is None


def test_it_waits_while_its_last_token_can_still_be_in_time() -> None:
    asked = facts(ceiling=Ceiling(300.0, 1.0, 200.0))
    assert warmed(router(*THREE)).decide(asked, fleet(box=FULL)).hold_seconds is not None


@pytest.mark.parametrize(("elapsed", "held"), [(0.0, True), (4.0, False)])
def test_room_is_waited_for_as_long_as_the_whole_answer_still_fits(elapsed: float, held: bool) -> None:
    asked = facts(
        ceiling=Ceiling(None, None, 10.0), expected_output_tokens=500.0, elapsed_seconds=elapsed, asked_before=True
    )
    decision = router(*THREE).decide(asked, fleet(PACKED, box=FULL))
    assert (decision.hold_seconds is not None) == held


@pytest.mark.parametrize(("elapsed", "held"), [(0.0, True), (61.0, False)])
def test_without_a_ceiling_room_is_not_waited_for_without_end(elapsed: float, held: bool) -> None:
    asked = facts(ceiling=Ceiling(), elapsed_seconds=elapsed, asked_before=elapsed > 0)
    decision = router(*THREE).decide(asked, fleet(PACKED, box={"up": False}))
    assert (decision.hold_seconds is not None) == held
