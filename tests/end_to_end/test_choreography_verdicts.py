"""What counts as the choreography in order: each step fails by itself where it was not kept."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.choreography.play import Answered, Performance
from benchmarks.choreography.verdicts import verdicts

WINDOW = 12.0
QUIET_UNTIL, QUIET_FROM = 15.0, 29.0


def decision(at: float, chosen: str, late_on_the_box: bool = False, free_seconds: float = 0.0) -> dict[str, Any]:
    cmi = {"window_room": 16 if free_seconds else 0, "window_free_seconds": free_seconds, "excluded": None}
    return {
        "at": at,
        "chosen": chosen,
        "request": {"model": "tuned", "held_before": False},
        "candidates": [
            {"backend": "box", "late_chance": 0.6 if late_on_the_box else 0.01, "in_flight": 4},
            {"backend": "cmi", "late_chance": 0.0, "in_flight": 0, **cmi},
        ],
    }


def good() -> Performance:
    made = [decision(5.0, "box"), decision(10.0, "box"), decision(20.0, "cmi", late_on_the_box=True)]
    made += [decision(22.0 + i, "cmi", True, free_seconds=9.0) for i in range(6)]
    return Performance(
        answers=[Answered(d["at"], "tuned", d["chosen"], "cheapest_in_time", 1.0, None) for d in made],
        decisions=made,
        cmi_calls=[21.0 + i for i in range(7)],
        windows=[(21.0, 33.0), (33.0, 45.0)],
        bill_nanousd={"cmi": 2},
    )


def broken(performance: Performance) -> list[str]:
    return [verdict.step for verdict in verdicts(performance, WINDOW, QUIET_UNTIL, QUIET_FROM) if not verdict.kept]


def test_in_order_every_step_is_kept() -> None:
    assert broken(good()) == []


def test_the_imported_model_in_the_quiet_start_is_not_box_first() -> None:
    performance = good()
    performance.cmi_calls.insert(0, 3.0)
    assert "box first" in broken(performance)


def test_a_window_before_anybody_is_at_risk_is_too_early_unless_the_need_was_foreseen() -> None:
    performance = good()
    performance.cmi_calls.insert(0, 16.0)
    assert broken(performance) == ["a window opened when the box could not"]
    performance.warmups = 1
    assert broken(performance) == []


def test_no_window_at_all_is_not_the_choreography() -> None:
    performance = good()
    performance.cmi_calls, performance.windows = [], []
    assert broken(performance) == ["a window opened when the box could not", "left to close"]


def test_a_window_that_is_paid_and_left_empty_is_not_filled() -> None:
    performance = good()
    performance.decisions = [{**d, "chosen": "box"} if d["at"] >= 22 else d for d in performance.decisions]
    assert broken(performance) == ["filled while it was free"]


@pytest.mark.parametrize("late", [45.0, 60.0])
def test_calls_long_after_the_burst_keep_a_window_open(late: float) -> None:
    performance = good()
    performance.cmi_calls.append(late)
    assert broken(performance) == ["left to close"]


def test_more_windows_than_the_burst_needed_are_too_many() -> None:
    performance = good()
    performance.windows = [(21.0 + 12 * i, 33.0 + 12 * i) for i in range(4)]
    assert broken(performance) == ["left to close"]


def test_books_that_differ_and_requests_that_fail_are_said() -> None:
    performance = good()
    performance.differences = ["cmi: 1 windows in the books, 2 on the bill"]
    performance.answers.append(Answered(30.0, "tuned", "", "", 1.0, "APIError: no"))
    assert broken(performance) == ["the books equal the bill", "everybody answered"]
