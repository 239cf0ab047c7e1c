"""How long an attempt is waited for. Pure: moments are plain numbers."""

from __future__ import annotations

from math import inf

import pytest

from gateway.backends.errors import Fault
from gateway.policy.backends import TimeoutSettings
from gateway.routing.facts import Ceiling
from gateway.server.deadlines import Allowed, deadlines_of

TIMEOUTS = TimeoutSettings(first_byte_seconds=300, total_seconds=1000)
NOTHING = Ceiling()
ANY = Allowed(100.0)


def test_the_last_backend_is_waited_for_as_long_as_the_policy_says() -> None:
    deadlines = deadlines_of(ANY, TIMEOUTS, NOTHING, 0.5, 110.0, last=True)
    assert (deadlines.first_byte, deadlines.cold, deadlines.end) == (410.0, inf, 1110.0)


@pytest.mark.parametrize(
    ("expected", "ceiling", "first_byte"),
    [(0.5, NOTHING, 140.0), (10.0, NOTHING, 150.0), (0.5, Ceiling(ttft_seconds=60), 160.0), (999.0, NOTHING, 410.0)],
)
def test_while_another_is_left_patience_is_shorter(expected: float, ceiling: Ceiling, first_byte: float) -> None:
    assert deadlines_of(ANY, TIMEOUTS, ceiling, expected, 110.0, last=False).first_byte == first_byte


def test_a_cold_start_is_waited_for_until_the_ceiling_while_another_is_left() -> None:
    ceiling = Ceiling(ttft_seconds=8, latency_seconds=5)
    assert deadlines_of(ANY, TIMEOUTS, ceiling, 0.5, 102.0, last=False).cold == 105.0
    assert deadlines_of(ANY, TIMEOUTS, ceiling, 0.5, 102.0, last=True).cold == inf


@pytest.mark.parametrize("last", [False, True])
def test_no_wait_is_longer_than_the_request_allows(last: bool) -> None:
    both = Allowed(100.0, ttft_seconds=2, latency_seconds=9)
    deadlines = deadlines_of(both, TIMEOUTS, Ceiling(ttft_seconds=50), 20.0, 101.0, last=last)
    assert (deadlines.first_byte, deadlines.end) == (102.0, 109.0)
    whole = deadlines_of(Allowed(100.0, latency_seconds=9), TIMEOUTS, NOTHING, 20.0, 101.0, last=last)
    assert (whole.first_byte, whole.end) == (109.0, 109.0)


def test_a_target_of_the_policy_is_no_end() -> None:
    ceiling = Ceiling(ttft_seconds=1, latency_seconds=2)
    assert deadlines_of(ANY, TIMEOUTS, ceiling, 0.5, 101.0, last=True).first_byte == 401.0
    assert ANY.exceeded(1e9) is None


def test_the_policys_total_ends_the_other_waits() -> None:
    deadlines = deadlines_of(ANY, TimeoutSettings(total_seconds=3), NOTHING, 0.5, 110.0, last=False)
    assert (deadlines.first_byte, deadlines.end) == (113.0, 113.0)


def test_what_is_exceeded_is_said_by_the_header_that_asked() -> None:
    both = Allowed(100.0, ttft_seconds=2, latency_seconds=9)
    assert both.exceeded(101.9) is None
    first, whole = both.exceeded(102.0), both.exceeded(109.0)
    assert first is not None
    assert whole is not None
    assert "x-crossover-max-ttft-ms" in first.message
    assert "9000 ms" in whole.message
    assert both.exceeded(108.0, answering=True) is None
    assert whole.status == 504
    assert whole.code == "deadline_exceeded"
    assert whole.fault is Fault.DEADLINE
    assert not whole.may_try_another
