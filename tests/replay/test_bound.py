"""The lower bound: below every router, falling with the budget, and right where it can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.replay.bound import lower_bound
from gateway.replay.requests import Requests, draw
from gateway.replay.world import simulate
from tests.replay.test_world import busy_hour
from tests.replay.worlds import WINDOW_NANOUSD, everything_to, policy, requests, setting

WINDOW = WINDOW_NANOUSD / 1e9


def asked(load: float) -> Requests:
    lab = policy()
    return draw(busy_hour(), lab.replay, lab.aliases, box=setting().box, load=load)


@pytest.mark.parametrize("tail_billed", [True, False])
@pytest.mark.parametrize("load", [0.8, 1.5])
def test_no_router_is_below_it_at_its_own_share_of_bad_requests(load: float, tail_billed: bool) -> None:
    world = setting(cmi={"idle_tail_billed": tail_billed})
    made = asked(load)
    bound = lower_bound(made, world)
    for strategy in ("crossover", "box-only", "imported-only", "spill", "lowest-cost", "ceiling-greedy"):
        run = simulate(made, world.router(strategy=strategy), world, name=strategy)
        assert run.variable_nanousd / 1e9 >= bound.variable_usd(float(run.bad.mean())) - 1e-9, strategy


def test_it_falls_as_more_requests_may_be_bad() -> None:
    bound = lower_bound(asked(1.5), setting())
    values = [bound.variable_usd(share) for share in np.linspace(0, 1, 40)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0
    assert values[-1] == 0


def test_what_the_box_can_do_alone_costs_nothing_more() -> None:
    bound = lower_bound(requests(*((60.0 * i, 300, 50) for i in range(60))), setting())
    assert bound.variable_usd(0.0) == 0
    assert bound.usd_per_month(0.0) == pytest.approx(199)


def test_an_hour_at_one_and_a_half_times_the_box_with_nowhere_else_to_go_needs_windows_for_most_of_it() -> None:
    # 1 s to read and 0.5 s to write, each second.
    bound = lower_bound(requests(*((float(i), 3000, 101) for i in range(3600))), setting())
    # The box alone serves two of three; a window of 5 minutes takes 5 minutes of work, which leaves the box the rest.
    assert 3600 / 3 / 300 * WINDOW <= bound.variable_usd(0.0) <= 14 * WINDOW


def test_requests_that_no_box_can_do_in_time_need_a_window_or_are_bad() -> None:
    # 10 s to read: over the ceiling by itself.
    made = requests((100.0, 33_000, 10))
    bound = lower_bound(made, setting())
    # A single call: one window with its idle tail within it, at most the dearest price of a bad request.
    assert bound.variable_usd(0.0) == pytest.approx(WINDOW)
    assert bound.variable_usd(1.0) == 0
    assert everything_to("box", made).bad.all()


def test_without_an_imported_model_what_the_box_cannot_do_is_bad_or_billed_by_the_token() -> None:
    world = setting()
    alone = type(world)(tuple(p for p in world.places if p.name != "cmi"), world.aliases, world.routing)
    made = requests((100.0, 33_000, 1000), tuned=False)
    assert lower_bound(made, alone).variable_usd(0.0) == pytest.approx(34_000 * 0.4e-6)
