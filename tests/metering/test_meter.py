"""The meter: usage becomes money, by the token, by the second, by the window."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from gateway.backends.usage import MISSING, Usage
from gateway.economics.prices import AmortizedCost, CostModel, PerTokenCost, ProvisionedCost, WindowCost
from gateway.metering.ledger import Ledger, books, reading
from gateway.metering.meter import Meter
from gateway.metering.records import Attempt, Outcome
from gateway.metering.series import Series

COSTS: dict[str, CostModel | None] = {
    "box": AmortizedCost(Fraction(200 * 10**9)),
    "cmi": WindowCost(Fraction(57_180_000), 2, Fraction(300), Fraction(300), 1, 16, 60.0),
    "base": PerTokenCost(Fraction(220), Fraction(220)),
    "half": PerTokenCost(None, Fraction(220)),
    "reserved": ProvisionedCost(Fraction(7_110_000_000), 1),
    "unknown": None,
}
EXACT = Usage(100, 20, "exact")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def meter_of(clock: Clock, ledger: Ledger | None = None) -> tuple[Meter, Series]:
    kinds = {name: cost.kind for name, cost in COSTS.items() if cost is not None}
    series = Series({name: ["m"] for name in COSTS}, kinds, "test", "hash")
    speeds = dict.fromkeys(COSTS, 95.0)
    return Meter(COSTS, speeds, series, ledger, "run", clock=clock, wall=lambda: clock.now + 1e9), series


def value(series: Series, name: str, **labels: str) -> float:
    found = series.registry.get_sample_value(f"crossover_{name}", labels)
    assert found is not None, f"{name} {labels} does not exist"
    return found


def attempt(meter: Meter, backend: str, usage: Usage, *, started_at: float = 1.0, outcome: Outcome = "ok") -> Attempt:
    price = meter.price(backend, usage)
    record = Attempt(
        "op",
        1,
        backend,
        "up",
        started_at,
        outcome,
        200,
        usage.input_tokens,
        usage.output_tokens,
        usage.certainty,
        price,
        0.1,
        1.0,
    )
    meter.attempt_ended("m", record, usage)
    return record


@pytest.mark.parametrize(
    ("backend", "charged"),
    [("box", 0), ("cmi", 0), ("reserved", 0), ("base", 26_400), ("half", None), ("unknown", None)],
)
def test_an_attempt_is_charged_its_list_price_or_nothing_or_is_unknown(
    clock: Clock, backend: str, charged: int | None
) -> None:
    meter, series = meter_of(clock)
    assert attempt(meter, backend, EXACT).nanousd == charged
    assert value(series, "unpriced_tokens_total", backend=backend, model="m") == (120 if charged is None else 0)
    if COSTS[backend] is not None:
        kind = COSTS[backend].kind  # type: ignore[union-attr]
        assert value(series, "cost_usd_total", backend=backend, cost_kind=kind) == (charged or 0) / 1e9


def test_missing_usage_has_no_price_where_tokens_are_paid(clock: Clock) -> None:
    meter, series = meter_of(clock)
    assert attempt(meter, "base", MISSING).nanousd is None
    assert value(series, "usage_total", backend="base", certainty="missing") == 1


@pytest.mark.parametrize(
    ("outcome", "nanousd", "ttft", "counted"),
    [
        ("upstream_error", 0, None, 0),  # refused before its first byte
        ("client_error", 0, None, 0),
        ("timeout", 0, None, 1),
        ("cancelled", None, None, 1),
        ("upstream_error", 0, 0.1, 1),  # broke off in its answer
        ("upstream_error", None, None, 1),
        ("ok", 0, None, 1),
    ],
)
def test_usage_is_missing_only_where_it_may_be_billed(
    clock: Clock, outcome: Outcome, nanousd: int | None, ttft: float | None, counted: int
) -> None:
    meter, series = meter_of(clock)
    meter.attempt_ended(
        "m", Attempt("op", 1, "base", "up", 1.0, outcome, 502, 0, 0, "missing", nanousd, ttft, 1.0), MISSING
    )
    assert value(series, "usage_total", backend="base", certainty="missing") == counted
    assert value(series, "attempts_total", backend="base", model="m", outcome=outcome) == 1


def test_counts_below_zero_reach_the_ledger_and_no_counter(clock: Clock, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite3")
    meter, series = meter_of(clock, ledger)
    attempt(meter, "base", Usage(100, -3, "exact"))
    ledger.close()
    with reading(ledger.path) as connection:
        assert connection.execute("SELECT output_tokens FROM attempts").fetchone()[0] == -3
    assert value(series, "attempts_total", backend="base", model="m", outcome="ok") == 1
    assert value(series, "usage_total", backend="base", certainty="missing") == 1
    assert value(series, "tokens_total", backend="base", model="m", token_type="input") == 0
    assert value(series, "cost_usd_total", backend="base", cost_kind="per_token") == 0


def test_a_box_costs_the_same_however_often_the_clock_is_read(clock: Clock) -> None:
    meter, series = meter_of(clock)
    for step in range(1, 5001):
        clock.now = 1000.0 + step * 0.73
        meter.tick(clock.now)
    seconds = 5000 * 0.73
    expected = int(Fraction(200 * 10**9) / 2_628_000 * Fraction(seconds)) / 1e9
    assert value(series, "cost_usd_total", backend="box", cost_kind="amortized") == pytest.approx(expected, abs=3e-9)


def test_windows_accrue_by_the_second_to_the_sum_of_whole_windows(clock: Clock, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite3")
    meter, series = meter_of(clock, ledger)
    copy = meter.window_call_began("cmi", clock.now, clock.now)
    meter.window_call_ended("cmi", copy)
    seen = []
    for _ in range(70):
        clock.now += 7
        meter.tick(clock.now)
        seen.append(value(series, "cost_usd_total", backend="cmi", cost_kind="window"))
    assert seen == sorted(seen)
    assert seen[10] == pytest.approx(0.5718 * 77 / 300)
    assert seen[-1] == pytest.approx(0.5718)
    assert value(series, "windows_total", backend="cmi") == 1
    ledger.close()
    assert {row.backend: row.nanousd for row in books(ledger.path)}["cmi"] == 571_800_000


def test_the_books_of_a_box_are_what_its_series_say(clock: Clock, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite3")
    meter, series = meter_of(clock, ledger)
    for _ in range(40):
        clock.now += 100.5  # past a minute: a further row begins
        meter.tick(clock.now)
    ledger.close()
    booked = {row.backend: row.nanousd for row in books(ledger.path)}
    for backend, kind in (("box", "amortized"), ("reserved", "provisioned")):
        assert booked[backend] / 1e9 == pytest.approx(value(series, "cost_usd_total", backend=backend, cost_kind=kind))


def test_what_tokens_would_have_cost_elsewhere_is_counted_for_every_known_price(clock: Clock) -> None:
    meter, series = meter_of(clock)
    attempt(meter, "box", EXACT, started_at=clock.now + 1e9 - 1.0)

    def elsewhere(name: str) -> float:
        return value(series, "counterfactual_cost_usd_total", served_by="box", priced_as=name)

    for _ in range(700):
        clock.now += 1.0
        meter.tick(clock.now)
    assert elsewhere("base") == 26_400e-9
    assert elsewhere("cmi") == pytest.approx(0.5718), "one call alone there opens one whole window"
    assert elsewhere("reserved") == pytest.approx(7.11 / 3600 * 20 / 95, abs=1e-9)
    assert value(series, "single_path_cost_usd_total", path="cmi") == pytest.approx(0.5718)
    for name in ("half", "unknown", "box"):
        found = series.registry.get_sample_value("crossover_single_path_cost_usd_total", {"path": name})
        assert found is None, f"the price of {name} is unknown, and unknown is not 0"
    labels = {"served_by": "box", "priced_as": "half"}
    assert series.registry.get_sample_value("crossover_counterfactual_cost_usd_total", labels) is None


def test_an_attempt_that_failed_would_have_cost_nothing_elsewhere(clock: Clock) -> None:
    meter, series = meter_of(clock)
    attempt(meter, "box", Usage(100, 0, "estimated"), outcome="upstream_error")
    clock.now += 1.0
    meter.tick(clock.now)
    assert value(series, "counterfactual_cost_usd_total", served_by="box", priced_as="base") == 0


def test_the_usage_basis_is_the_share_of_the_cost_that_fell_in_busy_time(clock: Clock, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite3")
    meter, series = meter_of(clock, ledger)
    meter.attempt_under_way("box", clock.now)
    clock.now += 3.0
    meter.attempt_under_way("box", clock.now)
    meter.attempt_over("box", clock.now)
    meter.attempt_over("box", clock.now)
    clock.now += 9.0
    meter.tick(clock.now)
    ledger.close()
    cost = value(series, "cost_usd_total", backend="box", cost_kind="amortized")
    assert value(series, "busy_seconds_total", backend="box") == pytest.approx(3.0)
    assert value(series, "busy_cost_usd_total", backend="box") == pytest.approx(cost / 4, abs=1e-9)
    with reading(ledger.path) as connection:
        row = connection.execute("SELECT nanousd, busy_nanousd FROM accruals WHERE backend = 'box'").fetchone()
    assert row["busy_nanousd"] == row["nanousd"] // 4


def test_the_first_row_of_what_accrues_begins_when_the_gateway_did(clock: Clock, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite3")
    meter, _ = meter_of(clock, ledger)
    began = clock.now + 1e9
    clock.now += 1.5
    meter.tick(clock.now)
    ledger.close()
    with reading(ledger.path) as connection:
        row = connection.execute("SELECT since, until FROM accruals WHERE backend = 'box'").fetchone()
    assert tuple(row) == (began, began + 1.5), "a row without a length would be in no report"


def test_a_list_price_is_the_same_on_both_bases(clock: Clock) -> None:
    meter, series = meter_of(clock)
    attempt(meter, "base", EXACT)
    assert value(series, "busy_cost_usd_total", backend="base") == 26_400e-9


def test_what_would_have_accrued_elsewhere_is_in_the_ledger_to_the_nano_dollar(clock: Clock, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite3")
    meter, _ = meter_of(clock, ledger)
    for _ in range(5):
        attempt(meter, "box", EXACT, started_at=clock.now + 1e9 - 1.0)
        for _ in range(130):
            clock.now += 1.0
            meter.tick(clock.now)
    ledger.close()
    with reading(ledger.path) as connection:
        rows = connection.execute(
            "SELECT served_by, priced_as, SUM(nanousd) AS n, COUNT(*) AS c FROM counterfactuals GROUP BY 1, 2"
        ).fetchall()
    booked = {(row["served_by"], row["priced_as"]): row["n"] for row in rows}
    assert booked["box", "base"] == 5 * 26_400
    assert booked["box", "cmi"] == meter.totals["elsewhere", "box", "cmi"]
    assert booked["*", "cmi"] == meter.totals["alone", "cmi"] == booked["box", "cmi"]
    assert max(row["c"] for row in rows) > 5, "a row a minute"


def test_every_label_set_is_there_at_zero_before_any_traffic(clock: Clock) -> None:
    _, series = meter_of(clock)
    for backend in COSTS:
        for outcome in ("ok", "client_error", "upstream_error", "timeout", "cancelled"):
            assert value(series, "attempts_total", backend=backend, model="m", outcome=outcome) == 0
        assert value(series, "tokens_total", backend=backend, model="m", token_type="output") == 0


def test_a_cost_that_would_fall_is_refused(clock: Clock) -> None:
    _, series = meter_of(clock)
    with pytest.raises(ValueError, match="would fall"):
        series.cost("box", "amortized", -1, 0)
