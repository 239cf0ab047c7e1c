"""The figures of a statement, each worked out by hand from the round hour."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from gateway.metering.ledger import books
from gateway.metering.records import AccrualRecord, CounterfactualRecord, WindowBusyRecord, WindowRecord
from gateway.statement.ceilings import Judged
from gateway.statement.figures import EmptyPeriodError
from gateway.statement.fullness import emptiest
from gateway.statement.period import Period
from gateway.statement.sections import document
from gateway.statement.serving import Measured
from gateway.statement.spend import NOBODY, OWN
from tests.statement.ledgers import HOUR, POLICY, T0, WHOLE, accruals, attempt, operation, report_of, written


def path_of(ledger: Path, name: str, period: Period = WHOLE) -> Measured:
    (found,) = [path for path in report_of(ledger, period).paths if path.name == name]
    return found


def test_a_box_is_measured_on_both_bases(ledger: Path) -> None:
    box = path_of(ledger, "box")
    assert (box.requests, box.input_tokens, box.output_tokens) == (10, 36_000, 18_000)
    assert (box.nanousd, box.busy_nanousd) == (360_000_000, 90_000_000)
    assert box.reservation_usd_per_1m == 20
    assert box.usage_usd_per_1m == 5
    assert box.utilization == pytest.approx(18_000 / (100 * 3600))
    assert box.speeds.busy_seconds == pytest.approx(900)
    assert box.busy_tokens_per_second == pytest.approx(20)
    assert box.speeds.stream_p50_tokens_per_second == pytest.approx(1799 / 89.5)
    assert box.assumed_usd_per_1m == 1


def test_an_imported_model_costs_its_windows_whole(ledger: Path) -> None:
    cmi = path_of(ledger, "cmi")
    assert (cmi.windows, cmi.nanousd, cmi.output_tokens) == (2, 1_200_000_000, 1000)
    assert cmi.reservation_usd_per_1m == 1200
    assert cmi.usage_usd_per_1m == 30
    assert cmi.utilization == pytest.approx(1000 / (200 * 600))
    assert (cmi.speeds.ttft_p50_seconds, cmi.speeds.ttft_p95_seconds) == (1.0, 2.0)
    assert cmi.speeds.busy_seconds == pytest.approx(15)
    assert cmi.assumed_usd_per_1m == 40


def test_a_path_paid_by_the_token_costs_its_list_price_on_both_bases(ledger: Path) -> None:
    base = path_of(ledger, "base")
    assert base.nanousd == 6_000_000
    assert base.reservation_usd_per_1m == base.usage_usd_per_1m == base.assumed_usd_per_1m == 3
    assert base.utilization is None
    assert base.simulated


def test_every_sum_is_that_of_the_books(ledger: Path) -> None:
    one = report_of(ledger)
    totals = {row.backend: row for row in books(ledger)}
    for path in one.paths:
        row = totals[path.name]
        assert (path.nanousd, path.requests, path.input_tokens, path.output_tokens, path.windows) == (
            row.nanousd, row.requests, row.input_tokens, row.output_tokens, row.windows,
        )  # fmt: skip
    assert one.nanousd == 1_566_000_000
    for sums in (one.by_key, one.by_alias):
        assert sum(share.nanousd for share in sums) == one.nanousd
    assert sum(sum(step.nanousd.values()) for step in one.steps) == one.nanousd
    assert sum(sum(step.output_tokens.values()) for step in one.steps) == one.output_tokens


@pytest.mark.parametrize("cut", [0.0, 30.0, 599.0, 601.0, 1234.5, 3599.0])
def test_a_period_that_begins_in_the_middle_agrees_with_the_books(ledger: Path, cut: float) -> None:
    one = report_of(ledger, Period(T0 + cut, T0 + HOUR + 1e6))
    expected = {row.backend: row.nanousd for row in books(ledger, T0 + cut)}
    assert {path.name: path.nanousd for path in one.paths if path.nanousd} == {k: n for k, n in expected.items() if n}


@pytest.mark.parametrize("cut", [30.0, 90.7, 777.7, 1800.0])
def test_neighbouring_periods_add_up_to_the_whole(ledger: Path, cut: float) -> None:
    whole, before = report_of(ledger), report_of(ledger, Period(T0, T0 + cut))
    after = report_of(ledger, Period(T0 + cut, T0 + HOUR))
    assert before.nanousd + after.nanousd == whole.nanousd
    assert before.output_tokens + after.output_tokens == whole.output_tokens
    assert before.requests + after.requests == whole.requests


@pytest.mark.parametrize("since", [602.0, 902.0])
def test_a_period_that_begins_within_a_paid_window_does_not_make_its_tokens_free(tmp_path: Path, since: float) -> None:
    records = [
        *(WindowRecord("run", "cmi", 1, number, T0 + at, T0 + at + 300, 600_000_000)
          for number, at in enumerate((600, 900), start=1)),
        *(WindowBusyRecord("run", "cmi", T0 + at, T0 + at + 60, 120_000_000) for at in range(600, 1200, 60)),
        *(attempt(f"a{at}", "cmi", started_at=T0 + at, output_tokens=100, seconds=59.0) for at in range(600, 1200, 60)),
    ]  # fmt: skip
    period = Period(T0 + since, T0 + HOUR)
    one = report_of(written(tmp_path / "l.sqlite3", records), period)
    (cmi,) = [path for path in one.paths if path.name == "cmi"]
    assert cmi.carried_nanousd == pytest.approx(298 * 2_000_000, abs=1)
    assert cmi.reservation_usd_per_1m == (Fraction(6000, 9) if since < 900 else None), "never $0.00"
    assert cmi.usage_usd_per_1m is None, "it would be above the reservation basis"
    assert any("opened before this period" in words for words in document(one).sections[-1].words)


def test_busy_time_is_known_from_the_start_though_at_first_nothing_was_served_whose_time_is_paid(
    tmp_path: Path,
) -> None:
    records = [
        *accruals(T0 + 1200, T0 + HOUR),
        attempt("first", "base", output_tokens=500, nanousd=1_000_000),
        attempt("later", "box", started_at=T0 + 1200, output_tokens=500, seconds=15.0),
    ]
    assert report_of(written(tmp_path / "l.sqlite3", records)).busy_from is None


def test_the_crossover_is_at_the_price_of_the_boxs_own_mix(ledger: Path) -> None:
    found = {crossing.against: crossing for crossing in report_of(ledger).crossings}
    assert found["cmi"].crossover == Fraction(1, 40)
    assert found["cmi"].above is True
    assert found["cmi"].elsewhere_usd_per_1m == Fraction(3_000_000_000 * 10**6, 18_000 * 10**9)
    assert found["base"].price_usd_per_1m == 3
    assert found["base"].crossover == Fraction(1, 3)
    assert found["base"].above is False
    assert (found["cmi"].cheaper, found["base"].cheaper) == ("box", "base")
    assert (found["cmi"].hours, found["cmi"].hours_above) == (1, 1)
    assert (found["base"].hours, found["base"].hours_above) == (1, 0)


def test_dollars_paid_by_time_are_shared_out_by_output_tokens(ledger: Path) -> None:
    one = report_of(ledger)
    keys = {share.name: share for share in one.by_key}
    assert (keys["web"].time_nanousd, keys["web"].token_nanousd) == (216_000_000 + 1_200_000_000, 0)
    assert (keys["batch"].time_nanousd, keys["batch"].token_nanousd) == (144_000_000, 6_000_000)
    aliases = {share.name: share.nanousd for share in one.by_alias}
    assert aliases == {"tuned": 1_560_000_000, "plain": 6_000_000}


def test_what_served_nobody_is_in_the_sums_all_the_same(tmp_path: Path) -> None:
    one = report_of(written(tmp_path / "l.sqlite3", accruals(T0, T0 + HOUR)))
    assert [(share.name, share.nanousd) for share in one.by_key] == [(NOBODY, 360_000_000)]
    assert one.paths[0].reservation_usd_per_1m is None


def test_calls_of_the_gateways_own_have_a_line_of_their_own(tmp_path: Path) -> None:
    warm = attempt("warm-1", "cmi", output_tokens=1, started_at=T0 + 600)
    window = WindowRecord("run", "cmi", 1, 1, T0 + 600, T0 + 900, 600_000_000)
    one = report_of(written(tmp_path / "l.sqlite3", [warm, window]))
    assert [(share.name, share.nanousd) for share in one.by_key] == [(OWN, 600_000_000)]
    assert one.calls_without_operation == 1


def test_savings_are_what_it_would_have_cost_less_what_it_cost_also_below_0(ledger: Path) -> None:
    saved = report_of(ledger).savings
    assert saved is not None
    assert {one.priced_as: one.saved_nanousd for one in saved.against} == {
        "cmi": 3_600_000_000 - 1_566_000_000,
        "base": 62_100_000 - 1_566_000_000,
    }
    pairs = {(one.served_by, one.priced_as): one for one in saved.pairs}
    assert pairs["box", "cmi"].saved_nanousd == 3_000_000_000 - 360_000_000
    assert pairs["box", "cmi"].same_weights
    assert pairs["cmi", "base"].saved_nanousd == 2_100_000 - 1_200_000_000
    assert pairs["cmi", "base"].same_weights is False
    assert pairs["box", "base"].simulated


def test_where_prices_elsewhere_begin_later_both_sides_of_a_saving_do(tmp_path: Path) -> None:
    half = T0 + 1800
    records = [
        *accruals(T0, T0 + HOUR),
        attempt("a", "box", started_at=T0 + 5, output_tokens=100),
        attempt("b", "box", started_at=half + 5, output_tokens=100),
        CounterfactualRecord("run", "*", "cmi", half, half + 60, 600_000_000),
    ]
    one = report_of(written(tmp_path / "l.sqlite3", records))
    assert one.savings is not None
    assert one.savings.period == Period(half, T0 + HOUR)
    (saving,) = one.savings.against
    assert (saving.nanousd, saving.saved_nanousd) == (180_000_000, 420_000_000)
    assert [crossing.elsewhere_usd_per_1m for crossing in one.crossings] == [None, None]


def test_ceilings_count_late_wrong_and_turned_away(ledger: Path) -> None:
    one = report_of(ledger)
    assert one.all_judged == Judged("all", 17, 14, 2, 1, 0)
    tuned, plain = one.ceilings
    assert (tuned.name, tuned.late, tuned.wrong) == ("tuned", 2, 0)
    assert (plain.name, plain.late, plain.wrong) == ("plain", 0, 1)
    assert one.all_judged.budget_used(one.error_budget) == pytest.approx(3 / 17 / 0.01)
    ((hour, worst),) = one.worst_hours
    assert (hour, worst.bad) == (T0, 3)


def test_reasons_are_counted_by_path(ledger: Path) -> None:
    found = {(routed.reason, routed.backend): routed.requests for routed in report_of(ledger).reasons}
    assert found == {
        ("cheapest_in_time", "box"): 10, ("cheapest_in_time", "base"): 4, ("window_pays", "cmi"): 2,
        ("nobody_in_time", None): 1,
    }  # fmt: skip


def test_windows_hold_the_calls_that_began_in_them(ledger: Path) -> None:
    (cmi,) = report_of(ledger).windows
    assert [(one.fill.calls, one.fill.output_tokens, one.fill.busy_seconds) for one in cmi.windows] == [
        (2, 1000, 15.0), (0, 0, 0.0),
    ]  # fmt: skip
    assert cmi.usd_per_1m == 1200
    assert cmi.most_at_once == 1
    assert {calls: windows for calls, windows, _ in cmi.by_calls} == {
        "0": 1, "1": 0, "2 to 9": 1, "10 to 99": 0, "100 or more": 0,
    }  # fmt: skip
    assert [one.window.number for one in emptiest([cmi])] == [2, 1]


def test_calls_beyond_a_copys_room_are_on_the_next_copy(tmp_path: Path) -> None:
    windows = [WindowRecord("run", "cmi", copy, 1, T0, T0 + 300, 600_000_000) for copy in (1, 2)]
    calls = [
        attempt(f"c{k}", "cmi", started_at=T0 + k, seconds=100.0, output_tokens=10, ttft_seconds=0.1) for k in range(6)
    ]
    (cmi,) = report_of(written(tmp_path / "l.sqlite3", [*windows, *calls])).windows
    assert [(one.window.copy, one.fill.calls) for one in cmi.windows] == [(1, 4), (2, 2)]
    assert cmi.most_at_once == 2


def test_a_call_that_waited_for_a_cold_copy_is_in_the_window_that_it_opened(tmp_path: Path) -> None:
    window = WindowRecord("run", "cmi", 1, 1, T0 + 60, T0 + 360, 600_000_000)
    call = attempt("cold", "cmi", started_at=T0, seconds=70.0, output_tokens=10, ttft_seconds=65.0)
    (cmi,) = report_of(written(tmp_path / "l.sqlite3", [window, call])).windows
    assert [(one.fill.calls, one.fill.busy_seconds) for one in cmi.windows] == [(1, 10.0)]


def test_time_without_a_gateway_is_told_apart_and_priced_by_the_policy(tmp_path: Path) -> None:
    records = [*accruals(T0, T0 + 600), *accruals(T0 + 1200, T0 + 1800, run="next")]
    one = report_of(written(tmp_path / "l.sqlite3", records), Period(T0 - HOUR, T0 + HOUR))
    (gap,) = one.not_accrued
    assert (gap.backend, gap.gaps, gap.seconds) == ("box", 2, 600 + 1800)
    assert gap.nanousd == 2400 * 100_000
    assert gap.longest == (T0 + 1800, T0 + HOUR)
    assert one.nanousd == 20 * 6_000_000  # and in no other sum
    assert one.covers.since == T0  # of the hour before nothing is known: it is no gap


def test_two_gateways_at_once_are_noticed(tmp_path: Path) -> None:
    records = [*accruals(T0, T0 + HOUR), *accruals(T0 + 30, T0 + 1830, run="twin")]
    box = report_of(written(tmp_path / "l.sqlite3", records)).paths[0]
    assert box.covered.doubled_seconds == pytest.approx(1800)
    assert box.covered.seconds == pytest.approx(HOUR)


def test_what_has_no_price_is_unknown_and_never_0(tmp_path: Path) -> None:
    text = POLICY.replace("input_usd_per_1m: 0.5, ", "")
    unpriced = attempt("a", "base", input_tokens=100, output_tokens=50, nanousd=None)
    one = report_of(written(tmp_path / "l.sqlite3", [unpriced, operation("a", "base")]), text=text)
    (base,) = [path for path in one.paths if path.name == "base"]
    assert (base.reservation_usd_per_1m, base.usage_usd_per_1m, base.unpriced_tokens) == (None, None, 150)


def test_nothing_is_said_to_be_saved_by_serving_tokens_of_unknown_price(tmp_path: Path) -> None:
    text = POLICY.replace("input_usd_per_1m: 0.5, ", "")
    records = [
        attempt("a", "base", input_tokens=100, output_tokens=50, nanousd=None),
        operation("a", "base"),
        *accruals(T0, T0 + 60),
        CounterfactualRecord("run", "base", "cmi", T0, T0 + 60, 600_000_000),
        CounterfactualRecord("run", "*", "cmi", T0, T0 + 60, 600_000_000),
    ]
    one = report_of(written(tmp_path / "l.sqlite3", records), text=text)
    assert one.savings is not None
    for saving in (*one.savings.against, *one.savings.pairs):
        assert (saving.elsewhere_nanousd, saving.saved_nanousd, saving.ratio) == (600_000_000, None, None)
    said = document(one)
    for words in (said.sections[0].words, next(s.words for s in said.sections if s.name == "savings")):
        assert any("unknown" in line for line in words)
        assert not any("routing saved $" in line for line in words)


def test_a_backend_that_the_policy_does_not_know_keeps_its_figures(tmp_path: Path) -> None:
    records = [
        AccrualRecord("run", "old-box", "amortized", T0, T0 + 60, 7, 3),
        attempt("a", "old-box", output_tokens=10),
    ]
    one = report_of(written(tmp_path / "l.sqlite3", records))
    (stranger,) = [path for path in one.paths if path.name == "old-box"]
    assert (stranger.nanousd, stranger.path, stranger.utilization, stranger.assumed_usd_per_1m) == (7, None, None, None)


def test_the_decision_table_is_at_the_speeds_measured(ledger: Path) -> None:
    found = report_of(ledger).decisions
    assert dict(found.measured) == {"box": pytest.approx(20), "cmi": pytest.approx(1000 / 15), "base": 50}
    ((box, share),) = found.here
    assert (box, float(share)) == ("box", pytest.approx(0.25))
    at = {float(row.utilization): row for row in found.rows}
    mine = at[0.25].per_token_custom
    assert mine is not None
    assert (mine.name, float(mine.usd)) == ("box", pytest.approx(20))  # $5 per 1M at 20 tok/s, a quarter busy
    one_percent = at[0.01].per_token_custom
    assert one_percent is not None
    assert one_percent.name == "cmi"


def test_an_empty_period_says_what_the_ledger_holds(ledger: Path) -> None:
    with pytest.raises(EmptyPeriodError, match=r"holds 2026-11-01T12:00:00Z to 2026-11-01T13:00:00Z"):
        report_of(ledger, Period(T0 - 2 * HOUR, T0 - HOUR))


def test_an_empty_ledger_says_so(tmp_path: Path) -> None:
    with pytest.raises(EmptyPeriodError, match="empty"):
        report_of(written(tmp_path / "l.sqlite3", []))


def test_below_the_crossover_the_box_may_still_be_the_cheaper_one(tmp_path: Path) -> None:
    """The crossover takes a copy that is never idle; what the same requests would have cost takes whole windows."""
    records = [
        *accruals(T0, T0 + HOUR),
        attempt("a", "box", output_tokens=1800),
        CounterfactualRecord("run", "box", "cmi", T0, T0 + 60, 1_200_000_000),
    ]
    found = {crossing.against: crossing for crossing in report_of(written(tmp_path / "l.sqlite3", records)).crossings}
    assert found["cmi"].above is False
    assert found["cmi"].box_usd_per_1m == 200
    assert found["cmi"].elsewhere_usd_per_1m == Fraction(1_200_000_000, 1800 * 1000)
    assert found["cmi"].cheaper == "box"
    assert found["base"].cheaper == "base"


def test_of_a_period_that_is_longer_than_the_ledger_the_bars_are_those_of_the_ledger(ledger: Path) -> None:
    one = report_of(ledger, Period(0.0, T0 + HOUR))
    assert one.covers == WHOLE
    assert [step.at for step in one.steps] == [T0 + 300 * k for k in range(12)]
    assert sum(sum(step.nanousd.values()) for step in one.steps) == one.nanousd


def test_dollars_per_1m_are_over_the_tokens_that_have_a_price(tmp_path: Path) -> None:
    records = [
        attempt("a", "base", input_tokens=1000, output_tokens=500, nanousd=1_500_000),
        attempt("b", "base", input_tokens=1000, output_tokens=500, nanousd=None),
    ]
    (base,) = [path for path in report_of(written(tmp_path / "l.sqlite3", records)).paths if path.name == "base"]
    assert (base.reservation_usd_per_1m, base.output_tokens, base.unpriced_tokens) == (3, 1000, 1500)
