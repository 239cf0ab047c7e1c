from __future__ import annotations

from gateway.backends.usage import MISSING, Usage
from gateway.routing.facts import Ceiling
from gateway.server.verdict import in_time

HUNDRED = Usage(5, 100, "exact")


def test_a_quick_start_makes_up_for_a_slow_pace() -> None:
    assert in_time(Ceiling(10.0, 0.2), 1.0, 30.0, HUNDRED) is True
    assert in_time(Ceiling(10.0, 0.2), 1.0, 30.1, HUNDRED) is False


def test_an_answer_without_a_ceiling_was_neither_late_nor_in_time() -> None:
    assert in_time(Ceiling(), 1.0, 30.0, HUNDRED) is None


def test_of_an_answer_that_was_not_streamed_its_end_decides_where_a_ceiling_speaks_of_it() -> None:
    assert in_time(Ceiling(10.0, 0.2), None, 30.1, HUNDRED) is False
    assert in_time(Ceiling(10.0), None, 60.0, HUNDRED) is None
    assert in_time(Ceiling(None, 0.2), None, 60.0, HUNDRED) is None


def test_tokens_that_nobody_counted_make_nobody_late() -> None:
    assert in_time(Ceiling(10.0, 0.2), 1.0, 30.0, MISSING) is True
    assert in_time(Ceiling(None, 0.2), 1.0, 30.0, MISSING) is None
