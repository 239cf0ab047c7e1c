"""The simulated imported model: cold starts, copies, windows; its bill against the gateway's own books."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.replay.world import simulate
from tests.replay.worlds import WINDOW_NANOUSD, By, always, decision_for, everything_to, requests, setting


def test_the_first_call_waits_for_the_cold_start() -> None:
    run = everything_to("cmi", requests((0.0, 100, 96)))
    assert run.ttft_s[0] == pytest.approx(60 + 0.3 + 0.01)
    assert run.end_s[0] == pytest.approx(60.31 + 95 / 95)


def calls(*seconds: float) -> Any:
    """Calls so many seconds after the copy is up. The first one, which brings it up, is sent a cold start before."""
    return requests(*((s if s == 0 else s + 60, 100, 95) for s in seconds), span=200_000)


@pytest.mark.parametrize(
    ("after", "with_tail", "only_called"),
    [
        ((0,), 1, 1),
        ((0, 120), 2, 1),
        ((0, 120, 299), 2, 1),
        ((0, 301), 2, 2),
        ((0, 299, 598), 3, 2),
        ((0, 100_000), 2, 2),
    ],
)
def test_windows_are_billed_until_the_copy_goes_or_only_those_with_a_call(
    after: tuple[float, ...], with_tail: int, only_called: int
) -> None:
    for tail_billed, windows in ((True, with_tail), (False, only_called)):
        run = everything_to("cmi", calls(*after), setting(cmi={"idle_tail_billed": tail_billed}))
        assert len(run.windows) == run.metered_windows == windows
        assert run.variable_nanousd == windows * WINDOW_NANOUSD
        assert sum(window.calls for window in run.windows) == len(after)
        assert sum(window.output_tokens for window in run.windows) == 95 * len(after)


def test_windows_are_anchored_when_the_copy_is_up_and_follow_one_another() -> None:
    run = everything_to("cmi", calls(0, 120))
    assert [(w.copy, w.opens_s, w.ends_s, w.calls) for w in run.windows] == [(1, 60, 360, 2), (1, 360, 660, 0)]


def test_calls_that_find_the_copy_full_wait_and_start_another_one_at_a_time() -> None:
    world = setting(cmi={"concurrency_per_copy": 2, "max_copies": 3})
    run = everything_to("cmi", requests((0.0, 0, 1), *[(100.0, 0, 9501)] * 4), world)
    # Two are taken at once, and the other two by the copy that is up a cold start later.
    assert run.ttft_s[1:].tolist() == pytest.approx([0.3, 0.3, 60.3, 60.3])
    assert {window.copy for window in run.windows} == {1, 2}


def test_no_more_copies_start_than_are_allowed() -> None:
    world = setting(cmi={"concurrency_per_copy": 1, "max_copies": 1})
    run = everything_to("cmi", requests((0.0, 0, 951), (0.0, 0, 951), (70.0, 0, 1)), world)
    assert {window.copy for window in run.windows} == {1}
    assert run.ttft_s.tolist() == pytest.approx([60.3, 70.6, 10.9])


def test_a_warm_call_starts_a_copy_apart_from_any_request() -> None:
    world = setting()
    router = By(
        lambda facts, fleet: decision_for(
            facts.alias,
            "base" if fleet.at < 100 else "cmi",
            world,
            warm="cmi" if fleet.at < 50 else None,
        )
    )
    run = simulate(requests((40.0, 100, 10), (99.0, 100, 10), (101.0, 100, 10)), router, world, name="warm")
    assert run.warm_calls == 1
    assert run.ttft_s[2] == pytest.approx(0.31)
    assert run.windows[0].opens_s == pytest.approx(100.0)
    states = [fleet.backends["cmi"] for _, fleet in router.seen]
    assert [state.copies_starting for state in states] == [0, 1, 0]
    assert states[1].restoring_seconds == pytest.approx(1.0)


def test_the_router_sees_the_window_through_the_gateways_own_meter() -> None:
    world = setting()
    router = always("cmi", world)
    simulate(requests((0.0, 0, 1), (70.0, 0, 951), (75.0, 0, 1), (2000.0, 0, 1)), router, world, name="cmi")
    before, idle, busy, gone = (fleet.backends["cmi"].window for _, fleet in router.seen)
    assert before is not None
    assert idle is not None
    assert busy is not None
    assert gone is not None
    assert (before.copies, before.free_seconds) == (0, 0)
    assert (idle.copies, idle.room, idle.seconds_left) == (1, 16, pytest.approx(290))
    # One more call at 70 s would let the idle tail reach into a second window.
    assert idle.free_seconds == 0
    assert (busy.in_flight, busy.room, busy.free_seconds) == (1, 15, pytest.approx(285))
    assert gone.copies == 0


def test_calls_that_wait_for_the_first_copy_are_in_flight_for_whoever_counts_them() -> None:
    """They will fill the copy that is starting: a router that sees none there would send everything."""
    world = setting()
    router = always("cmi", world)
    simulate(requests((0.0, 0, 1), (5.0, 0, 1), (10.0, 0, 1)), router, world, name="cmi")
    windows = [fleet.backends["cmi"].window for _, fleet in router.seen]
    assert [(w.copies, w.in_flight) for w in windows if w is not None] == [(0, 0), (0, 1), (0, 2)]
