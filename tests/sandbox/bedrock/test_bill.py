"""The bill's arithmetic, and the bill over the wire."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from gateway.sandbox.bedrock.bill import WindowMeter, per_token_nanousd
from gateway.sandbox.bedrock.clock import to_ns
from gateway.sandbox.bedrock.settings import ImportedSettings
from tests.sandbox.bedrock.conftest import ARN, BASE, PROVISIONED, Running


def meter(time_scale: float = 1, **changes: Any) -> WindowMeter:
    given = {"arn": ARN, "usd_per_unit_minute": Decimal("0.05718")}
    return WindowMeter.of(ImportedSettings(**(given | changes)), time_scale)


def windows_after(calls: list[float], now: float | None = None, **changes: Any) -> list[float]:
    """Starts, in seconds, of the windows of one copy called at these seconds."""
    metered = meter(**changes)
    for seconds in calls:
        metered.call(1, to_ns(seconds))
    return [window.start_ns / 1e9 for window in metered.windows(None if now is None else to_ns(now))]


def test_a_window_of_two_units_costs_the_list_price() -> None:
    assert meter().window_nanousd == 571_800_000


def test_scaled_time_keeps_the_dollars_per_second() -> None:
    assert meter(25).window_nanousd * 25 == 571_800_000


@pytest.mark.parametrize(
    ("calls", "starts"),
    [
        ([10], [10]),
        ([10, 10.5], [10, 310]),
        ([10, 309], [10, 310]),
        ([10, 310], [10, 310]),
        ([10, 310.1], [10, 310, 610]),
        ([310, 10], [10, 310]),
    ],
)
def test_with_the_idle_tail_windows_follow_until_the_copy_goes(calls: list[float], starts: list[float]) -> None:
    assert windows_after(calls) == starts


@pytest.mark.parametrize(
    ("calls", "starts"),
    [([10], [10]), ([10, 10.5, 309], [10]), ([10, 310], [10, 310]), ([10, 299, 700], [10, 610])],
)
def test_without_the_idle_tail_only_windows_with_a_call_count(calls: list[float], starts: list[float]) -> None:
    assert windows_after(calls, idle_tail_billed=False) == starts


def test_a_window_is_owed_from_its_start() -> None:
    calls = [10.0, 200.0]
    assert windows_after(calls, now=10) == [10]
    assert windows_after(calls, now=309) == [10]
    assert windows_after(calls, now=311) == [10, 310]
    assert windows_after(calls, now=10_000) == [10, 310]


def test_every_copy_has_windows_of_its_own() -> None:
    metered = meter()
    metered.call(1, 0)
    metered.call(2, to_ns(100))
    assert [(w.copy, w.start_ns) for w in metered.windows(None)] == [(1, 0), (2, to_ns(100))]


def test_per_token_charges_are_exact_and_round_half_even_once_a_call() -> None:
    assert per_token_nanousd(1000, 500, Fraction("0.22"), Fraction("0.72")) == 1000 * 220 + 500 * 720
    half = Fraction("0.0005")
    assert [per_token_nanousd(count, 0, half, half) for count in (1, 3, 5)] == [0, 2, 2]
    assert per_token_nanousd(1, 1, half, half) == 1


def test_base_tokens_are_billed_to_the_nano_dollar(warm: Running) -> None:
    answers = [warm.invoke(BASE, prompt=f"a b {n}", max_gen_len=n) for n in range(1, 6)]
    stream = warm.stream(BASE, prompt="one two", max_gen_len=7)
    inputs = sum(answer["prompt_token_count"] for answer in answers) + stream[0]["prompt_token_count"]
    outputs = sum(answer["generation_token_count"] for answer in answers) + stream[-1]["generation_token_count"]
    bill = warm.bill(BASE)
    assert bill["completed"] == {
        "calls": 6,
        "input_tokens": inputs,
        "output_tokens": outputs,
        "nanousd": inputs * 220 + outputs * 720,
    }
    assert bill["total_nanousd"] == bill["completed"]["nanousd"]


def test_an_imported_models_calls_share_a_window_and_a_later_one_opens_the_next(warm: Running) -> None:
    for _ in range(5):
        warm.chat(max_tokens=1)
    bill = warm.bill(ARN)
    assert bill["total_nanousd"] == bill["windows_nanousd"] == 571_800_000
    assert bill["tokens_nanousd"] == 0
    warm.advance(250)
    warm.chat(max_tokens=1)
    warm.advance(100)
    assert warm.bill(ARN)["total_nanousd"] == 2 * 571_800_000


def test_a_refused_call_opens_no_window(start: Callable[..., Running]) -> None:
    running = start(imported={"cold_start_seconds": 0, "context_tokens": 50})
    with pytest.raises(running.client.exceptions.ValidationException, match="context"):
        running.chat(max_tokens=100)
    bill = running.bill(ARN)
    assert bill["windows"] == []
    assert bill["calls"] == []


def test_provisioned_units_cost_every_second_called_or_not(start: Callable[..., Running]) -> None:
    running = start(provisioned={"units": 2}, time_scale=10)
    running.advance(36_000)
    bill = running.bill(PROVISIONED)
    # 36,000 simulated seconds at scale 10 are one real hour: 2 units x $7.20.
    assert bill["unit_seconds"] >= 7200
    assert bill["provisioned_nanousd"] == round(Fraction(str(bill["unit_seconds"])) * 2_000_000)
    assert bill["provisioned_nanousd"] >= 14_400_000_000


def test_reset_empties_the_bill(warm: Running) -> None:
    warm.chat(max_tokens=1)
    warm.admin("POST", "/reset")
    bill = warm.bill(ARN)
    assert bill["windows"] == []
    assert bill["completed"]["calls"] == 0
    assert warm.state(ARN)["state"] == "cold"
