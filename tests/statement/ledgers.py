"""A ledger with round numbers, written by the real one, and the policy it goes with.

One hour from `T0`. The box: $262.80 a month is 100,000 n$ a second, $0.36 the hour, and $1 per 1M tokens at its 100
tok/s. An imported model: $0.60 a window, $40 per 1M at one stream of 50 tok/s. The base model: $0.50 and $2 per 1M.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.metering.ledger import Ledger, reading
from gateway.metering.records import (
    AccrualRecord,
    Attempt,
    CounterfactualRecord,
    OperationRecord,
    Record,
    WindowBusyRecord,
    WindowRecord,
)
from gateway.policy.load import parse_policy
from gateway.policy.schema import Policy
from gateway.statement.figures import Statement, statement
from gateway.statement.period import Period

T0 = datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0
WHOLE = Period(T0, T0 + HOUR)

POLICY = """
version: 1
ledger: {path: ledger.sqlite3}
budget: {usd_per_month: 2000}
backends:
  box:
    wire: openai
    base_url: http://127.0.0.1:9/v1
    cost: {kind: amortized, usd_per_month: 262.80}
    speed: {single_stream_tokens_per_second: 10, max_tokens_per_second: 100, at_concurrency: 10}
  cmi:
    wire: bedrock
    region: us-east-1
    cost: {kind: window, usd_per_unit_minute: 0.06, units_per_copy: 2, concurrency_per_copy: 4}
    speed: {single_stream_tokens_per_second: 50, max_tokens_per_second: 200, at_concurrency: 4}
  base:
    wire: bedrock
    region: us-east-1
    simulated: true
    cost: {kind: per_token, input_usd_per_1m: 0.5, output_usd_per_1m: 2}
    speed: {single_stream_tokens_per_second: 50}
aliases:
  tuned:
    served_by: [{backend: box, model: tuned}, {backend: cmi, model: arn}]
  plain:
    served_by: [{backend: base, model: llama}]
"""


def policy(text: str = POLICY) -> Policy:
    return parse_policy(text, require_environment=False)


def attempt(id: str, backend: str, **changed: Any) -> Attempt:
    values: dict[str, Any] = {
        "operation_id": id, "number": 1, "backend": backend, "model": "m", "started_at": T0, "outcome": "ok",
        "status": 200, "input_tokens": 0, "output_tokens": 0, "certainty": "exact", "nanousd": 0, "ttft_seconds": None,
        "seconds": 1.0,
    }  # fmt: skip
    return Attempt(**(values | changed))


def operation(id: str, backend: str | None, **changed: Any) -> OperationRecord:
    values: dict[str, Any] = {
        "id": id, "key": "web", "alias": "tuned", "operation": "chat", "stream": True, "started_at": T0,
        "outcome": "ok", "status": 200, "backend": backend, "reason": "cheapest_in_time", "attempts": 1,
        "input_tokens": 0, "output_tokens": 0, "certainty": "exact", "ttft_seconds": 0.5, "seconds": 1.0,
        "in_time": True, "verdict": "in_time",
    }  # fmt: skip
    return OperationRecord(**(values | changed))


def accruals(since: float, until: float, run: str = "run") -> Iterator[AccrualRecord]:
    """The box, a row a minute, a quarter of it busy."""
    at = since
    while at < until:
        yield AccrualRecord(run, "box", "amortized", at, at + 60, 6_000_000, 1_500_000)
        at += 60


def round_hour() -> Iterator[Record]:
    """10 requests to the box (90 s each), 2 in the first of two windows, 4 to the base model, 1 turned away."""
    yield from accruals(T0, T0 + HOUR)
    for number in range(10):
        at = T0 + 360 * number
        usage = {"started_at": at, "seconds": 90.0, "input_tokens": 3600, "output_tokens": 1800, "ttft_seconds": 0.5}
        yield attempt(f"box{number}", "box", **usage)
        key = "web" if number < 6 else "batch"
        yield operation(
            f"box{number}", "box", key=key, **usage, in_time=number > 0, verdict="in_time" if number else "late"
        )
    for number, window in enumerate((T0 + 600, T0 + 900), start=1):
        yield WindowRecord("run", "cmi", 1, number, window, window + 300, 600_000_000)
    yield WindowBusyRecord("run", "cmi", T0 + 600, T0 + 660, 30_000_000)
    for number in range(2):
        usage = {
            "started_at": T0 + 600 + 5 * number, "seconds": 10.0, "input_tokens": 100, "output_tokens": 500,
            "ttft_seconds": 1.0 + number,
        }  # fmt: skip
        yield attempt(f"cmi{number}", "cmi", **usage)
        yield operation(f"cmi{number}", "cmi", reason="window_pays", **usage)
    for number in range(4):
        usage = {"started_at": T0 + 60 * number, "seconds": 10.0, "input_tokens": 1000, "output_tokens": 500}
        yield attempt(f"base{number}", "base", **usage, nanousd=1_500_000, ttft_seconds=0.2)
        verdict = "in_time" if number else "wrong"
        yield operation(f"base{number}", "base", key="batch", alias="plain", **usage, verdict=verdict)
    yield operation(
        "away", None, key="batch", started_at=T0 + 10, outcome="refused", status=429, reason="nobody_in_time",
        attempts=0, certainty="missing", ttft_seconds=None, in_time=None, verdict="late",
    )  # fmt: skip
    for served_by, priced_as, nanousd in (
        ("box", "cmi", 3_000_000_000),
        ("box", "base", 54_000_000),
        ("cmi", "base", 2_100_000),
        ("base", "cmi", 600_000_000),
        ("*", "cmi", 3_600_000_000),
        ("*", "base", 62_100_000),
    ):
        yield CounterfactualRecord("run", served_by, priced_as, T0, T0 + 60, nanousd)


def written(path: Path, records: Iterable[Record]) -> Path:
    ledger = Ledger(path)
    for record in records:
        ledger.put(record)
    ledger.close()
    assert ledger.lost == 0
    return path


def report_of(path: Path, period: Period = WHOLE, text: str = POLICY) -> Statement:
    with reading(path) as connection:
        return statement(connection, policy(text), period)
