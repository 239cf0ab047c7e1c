"""Periods: what may be written, always in UTC, and how time is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.statement.ledger_rows import Accrued
from gateway.statement.period import Period, PeriodError, clock, iso, moment, period, stamp, utc
from gateway.statement.spend import apportion
from tests.statement.ledgers import HOUR, T0

NOW = T0


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90m", NOW - 5400),
        ("24h", NOW - 86_400),
        ("30d", NOW - 30 * 86_400),
        ("2w", NOW - 14 * 86_400),
        ("now", NOW),
        ("all", 0.0),
        ("2026-11-01", T0 - 12 * HOUR),
        ("2026-11-01T12:00", T0),
        ("2026-11-01T12:00Z", T0),
        ("2026-11-01T14:00+02:00", T0),
        (" 2026-11-01T12:00:30 ", T0 + 30),
    ],
)
def test_a_moment_may_be_written_as(text: str, at: float) -> None:
    assert moment(text, NOW) == at


@pytest.mark.parametrize("text", ["", "yesterday", "30", "d", "-3d", "3y", "2026-13-01", "12:00", "9999999d"])
def test_what_is_no_moment_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(PeriodError, match="2026-11-01T08:30"):
        moment(text, NOW)


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(PeriodError, match="begins 2026-11-01 12:00 UTC and ends 2026-10-31 12:00 UTC"):
        period("now", "24h", NOW)


def test_times_read_in_utc() -> None:
    assert utc(T0) == "2026-11-01 12:00 UTC"
    assert iso(T0) == "2026-11-01T12:00:00Z"
    assert [clock(int(T0), step) for step in (86_400, 3600, 60, 10)] == [
        "2026-11-01", "11-01 12:00", "12:00", "12:00:00",
    ]  # fmt: skip
    assert [stamp(T0, step) for step in (86_400, 3600, 10)] == ["2026-11-01", "2026-11-01 12:00", "2026-11-01 12:00:00"]


@pytest.mark.parametrize(
    ("seconds", "step"), [(60, 10), (HOUR, 300), (24 * HOUR, 3600), (3 * 86_400, 86_400), (365 * 86_400, 86_400)]
)
def test_bars_are_as_fine_as_they_can_be_without_being_too_many(seconds: float, step: int) -> None:
    assert Period(T0, T0 + seconds).step_seconds == step


@given(
    st.integers(min_value=0, max_value=10**15),
    st.lists(st.floats(min_value=-50, max_value=150), min_size=1, max_size=6),
)
def test_a_row_cut_anywhere_adds_up_to_itself(nanousd: int, cuts: list[float]) -> None:
    row = Accrued("run", "box", T0, T0 + 60, nanousd, 0)
    edges = sorted({T0 - 100, T0 + 200, *(T0 + cut for cut in cuts)})
    parts = [row.within(Period(since, until)) for since, until in pairwise(edges)]
    assert sum(parts) == nanousd
    assert min(parts) >= 0


@given(
    st.integers(min_value=0, max_value=10**15),
    st.dictionaries(st.text(max_size=3), st.integers(min_value=1, max_value=10**9), min_size=1, max_size=8),
)
def test_shares_add_up_and_none_is_off_by_a_nano_dollar(amount: int, weights: dict[str, int]) -> None:
    parts = apportion(amount, weights)
    assert sum(parts.values()) == amount
    total = sum(weights.values())
    assert all(abs(part - amount * weights[name] / total) <= 1 + amount * 1e-15 for name, part in parts.items())
