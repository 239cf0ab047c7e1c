"""A gateway that was killed and started again: the windows of its books are those of one that ran on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import pytest

from gateway.economics.prices import WindowCost
from gateway.metering.ledger import Ledger, reading
from gateway.metering.meter import Meter
from gateway.metering.restore import restore_windows
from gateway.metering.series import Series
from gateway.policy.costs import WindowSettings
from gateway.policy.schema import BackendSettings

EPOCH = 1e6
PRICE_USD = 0.5718
Event: TypeAlias = tuple[float, Literal["call", "begin", "burst", "tick"]]
Life: TypeAlias = tuple[float, list[Event]]


def settings(max_copies: int, **changed: object) -> BackendSettings:
    return BackendSettings.model_validate(
        {
            "wire": "bedrock",
            "region": "us-east-1",
            "cost": {
                "kind": "window",
                "usd_per_unit_minute": "0.05718",
                "units_per_copy": 2,
                "max_copies": max_copies,
                "concurrency_per_copy": 1,
                **changed,
            },
            "speed": {"single_stream_tokens_per_second": 95},
        }
    )


def live(path: Path, lives: list[Life], *, max_copies: int = 1, **changed: object) -> Series:
    """Runs one life after another on one ledger. Each is cut off: nothing is told to the meter at its end."""
    backend = settings(max_copies, **changed)
    assert isinstance(backend.cost, WindowSettings)
    cost = backend.cost.model()
    assert isinstance(cost, WindowCost)
    now = [0.0]
    series = Series({"cmi": ["m"]}, {"cmi": "window"}, "v", "p")
    for number, (started, events) in enumerate(lives):
        ledger = Ledger(path, 0.01)
        series = Series({"cmi": ["m"]}, {"cmi": "window"}, "v", "p")
        now[0] = started
        meter = Meter(
            {"cmi": cost}, {"cmi": 95.0}, series, ledger, f"run{number}",
            clock=lambda: now[0], wall=lambda: now[0] + EPOCH,
        )  # fmt: skip
        restore_windows(meter, path, {"cmi": backend}, started)
        for at, what in events:
            now[0] = at
            if what == "tick":
                meter.tick(at)
                continue
            copies = [meter.window_call_began("cmi", at, at) for _ in range(2 if what == "burst" else 1)]
            for copy in copies if what != "begin" else []:
                meter.window_call_ended("cmi", copy)
        ledger.close()
    return series


def booked(path: Path) -> list[tuple[int, int, float, float]]:
    with reading(path) as connection:
        rows = connection.execute("SELECT copy, number, opened_at, ends_at FROM windows ORDER BY copy, number")
        return [(copy, number, round(a - EPOCH, 3), round(b - EPOCH, 3)) for copy, number, a, b in rows]


CASES: dict[str, tuple[int, list[Life]]] = {
    "rows of one copy come from two runs": (
        1,
        [
            (0, [(0, "call"), (250, "call")]),
            (270, [(300, "tick"), (400, "call")]),
            (420, [(600, "tick"), (900, "tick"), (1500, "tick")]),
        ],
    ),
    "the second window was opened by the second run": (
        1,
        [
            (0, [(0, "call"), (250, "call")]),
            (270, [(280, "call"), (301, "tick")]),
            (302, [(303, "tick"), (600, "tick"), (1500, "tick")]),
        ],
    ),
    "of two copies one was called again": (
        2,
        [(0, [(0, "burst"), (100, "call"), (250, "call")]), (260, [(261, "tick"), (400, "tick"), (1500, "tick")])],
    ),
    "its first call was still being answered": (1, [(0, [(0, "begin")]), (20, [(30, "call"), (1500, "tick")])]),
    "a window opened while no gateway ran": (1, [(0, [(0, "call"), (250, "call")]), (5000, [(5001, "tick")])]),
    "the copy had gone and its window was paid": (
        1,
        [(0, [(0, "call"), (10, "call"), (301, "tick")]), (400, [(500, "call"), (2000, "tick")])],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_restarts_change_no_window(tmp_path: Path, case: str) -> None:
    max_copies, lives = CASES[case]
    live(tmp_path / "cut.sqlite3", lives, max_copies=max_copies)
    live(tmp_path / "whole.sqlite3", [(0, [event for _, events in lives for event in events])], max_copies=max_copies)
    if case != "its first call was still being answered":  # (there, in one life, the copy is up to the end)
        assert booked(tmp_path / "cut.sqlite3") == booked(tmp_path / "whole.sqlite3")
    else:
        assert booked(tmp_path / "cut.sqlite3") == [(1, 1, 0.0, 300.0), (1, 2, 300.0, 600.0)]
    assert len(booked(tmp_path / "cut.sqlite3")) >= 2


def test_a_second_restart_long_after_books_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite3"
    live(path, [(0, [(0, "call"), (250, "call")]), (5000, []), (9000, [(9001, "tick")])])
    assert booked(path) == [(1, 1, 0.0, 300.0), (1, 2, 300.0, 600.0)]


def test_where_idle_windows_are_free_a_restart_remembers_which_were_called_in(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite3"
    lives: list[Life] = [(0, [(0, "call"), (650, "call")]), (700, [(710, "call"), (950, "call"), (5000, "tick")])]
    live(path, lives, idle_tail_billed=False, idle_minutes=15)
    assert booked(path) == [(1, 1, 0.0, 300.0), (1, 3, 600.0, 900.0), (1, 4, 900.0, 1200.0)]


def test_a_copy_merged_into_another_is_not_restored_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite3"
    ledger = Ledger(path, 0.01)
    backend = settings(2, concurrency_per_copy=4)
    assert isinstance(backend.cost, WindowSettings)
    now = 0.0
    series = Series({"cmi": ["m"]}, {"cmi": "window"}, "v", "p")
    costs = {"cmi": backend.cost.model()}
    meter = Meter(costs, {"cmi": 95.0}, series, ledger, "a", clock=lambda: now, wall=lambda: now + EPOCH)
    for sent, heard in ((0.0, 0.0), (310.0, 311.0), (299.0, 312.0)):
        meter.window_call_ended("cmi", meter.window_call_began("cmi", sent, heard))
    ledger.flush()
    second = Meter(costs, {"cmi": 95.0}, series, None, "b", clock=lambda: now, wall=lambda: now + EPOCH)
    assert restore_windows(second, path, {"cmi": backend}, 320.0) == 1
    view = second.window_view("cmi", 320.0)
    assert view is not None
    assert view.copies == 1
    ledger.close()


def test_the_series_go_on_with_the_rest_of_an_open_window(tmp_path: Path) -> None:
    series = live(tmp_path / "l.sqlite3", [(0, [(0, "call"), (10, "tick")]), (20, [(301, "tick"), (2000, "tick")])])
    rest = series.registry.get_sample_value("crossover_cost_usd_total", {"backend": "cmi", "cost_kind": "window"})
    assert rest == pytest.approx(PRICE_USD * 280 / 300, abs=1e-6)
    assert series.registry.get_sample_value("crossover_windows_total", {"backend": "cmi"}) == 0


def test_the_last_call_is_in_the_file_before_any_tick(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite3"
    live(path, [(0, [(0, "call"), (7, "call"), (9, "begin")])])
    with reading(path) as connection:
        row = connection.execute("SELECT origin_run, copy, first_call, last_call, booked FROM copies").fetchall()
    assert [tuple(r) for r in row] == [("run0", 1, EPOCH, EPOCH + 9, 1)]
