from __future__ import annotations

from gateway.backends.usage import MISSING, Usage
from gateway.routing.facts import Ceiling
from gateway.server.verdict import in_time, left_late

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


def test_a_client_that_leaves_counts_as_answered_late_only_once_it_was_late() -> None:
    assert left_late(Ceiling(10.0), None, 10.1, streamed=True)
    assert not left_late(Ceiling(10.0), None, 9.9, streamed=True)
    assert not left_late(Ceiling(10.0), 1.0, 60.0, streamed=True), "its first token was in time"
    assert not left_late(Ceiling(10.0), None, 60.0, streamed=False), "nobody knows when the first token came"
    assert left_late(Ceiling(None, None, 20.0), 1.0, 20.1, streamed=False)
    assert not left_late(Ceiling(), None, 3600.0, streamed=True)
