"""What a run says while it trains."""

from __future__ import annotations

import io
import json
from typing import Any

from trainer.train.progress import JsonLines, PlainLines, duration, sentence
from trainer.train.record import Totals


def step(number: int, **others: Any) -> dict[str, Any]:
    return {"step": number, "steps": 9, "loss": 1.25, "tokens_per_second": 1234.5} | others


def test_a_log_has_a_line_of_steps_every_few_seconds_and_the_last_one() -> None:
    out, now = io.StringIO(), 0.0
    report = PlainLines(out, lambda: now)
    for number in range(1, 10):
        report.event("step", **step(number))
        now += 2.0
    assert [line.split()[1] for line in out.getvalue().splitlines()] == ["1/9", "4/9", "7/9", "9/9"]


def test_json_lines_hold_every_event_and_nothing_else() -> None:
    out = io.StringIO()
    report = JsonLines(out)
    report.note("a sentence")
    report.event("step", **step(1))
    report.event("checkpoint", step=1)
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [event["event"] for event in found] == ["note", "step", "checkpoint"]
    assert found[1]["loss"] == 1.25


def test_utilization_is_said_only_where_it_is_known() -> None:
    assert sentence("step", step(1)) == "step 1/9  loss 1.2500  1,234 tok/s"
    known = sentence("step", step(1, model_flops_utilization=0.416, seconds_left=200.0))
    assert known == "step 1/9  loss 1.2500  1,234 tok/s  MFU 42%  3 min left"


def test_durations_read_well() -> None:
    assert [duration(seconds) for seconds in (4.4, 89, 90, 3600, 11_100)] == [
        "4 s", "89 s", "2 min", "60 min", "3 h 5 min",
    ]  # fmt: skip


def test_a_utilization_above_one_is_not_known() -> None:
    totals = Totals(flops_per_token=2.0, matmul_flops=10.0)
    assert totals.utilization(4.0) == 0.8
    assert totals.utilization(6.0) is None
    assert Totals(flops_per_token=2.0).utilization(4.0) is None
