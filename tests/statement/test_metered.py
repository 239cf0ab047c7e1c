"""What the real meter writes: the statement says the same of it, to the nano-dollar."""

from __future__ import annotations

from pathlib import Path

from gateway.backends.usage import Usage
from gateway.metering.ledger import Ledger, books
from gateway.metering.meter import Meter
from gateway.metering.series import Series
from gateway.statement.period import Period
from tests.statement.ledgers import T0, attempt, operation, policy, report_of


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def test_a_statement_of_what_was_metered_equals_its_totals(tmp_path: Path) -> None:
    settings = policy()
    costs = {name: None if one.cost is None else one.cost.model() for name, one in settings.backends.items()}
    kinds = {name: cost.kind for name, cost in costs.items() if cost is not None}
    speeds = {name: one.speed.single_stream_tokens_per_second for name, one in settings.backends.items()}
    clock, ledger = Clock(), Ledger(tmp_path / "l.sqlite3")
    series = Series({name: ["tuned"] for name in costs}, kinds, "test", "hash")
    start = clock.now
    meter = Meter(costs, speeds, series, ledger, "run", clock=clock, wall=lambda: clock.now - start + T0)

    def call(backend: str, number: int, seconds: float, tokens: tuple[int, int]) -> None:
        began = clock.now
        meter.attempt_under_way(backend, began)
        copy = meter.window_call_began(backend, began, began)
        for _ in range(int(seconds)):
            clock.now += 1.0
            meter.tick(clock.now)
        meter.window_call_ended(backend, copy)
        meter.attempt_over(backend, clock.now)
        usage = Usage(*tokens, "exact")
        fields = {
            "started_at": meter.wall(began),
            "seconds": seconds,
            "input_tokens": tokens[0],
            "output_tokens": tokens[1],
        }
        name = f"{backend}{number}"
        meter.attempt_ended(
            "tuned", attempt(name, backend, **fields, ttft_seconds=0.5, nanousd=meter.price(backend, usage)), usage
        )
        meter.operation_ended(operation(name, backend, **fields))

    for number in range(3):
        call("box", number, 40, (120, 400))
        call("cmi", number, 10, (120, 450))
        call("base", number, 5, (100, 50))
    for _ in range(700):
        clock.now += 1.0
        meter.tick(clock.now)
    ledger.close()

    one = report_of(ledger.path, Period(T0 - 10, T0 + 2000))
    totals, whole = {row.backend: row for row in books(ledger.path)}, meter.totals.since_start()
    for path in one.paths:
        assert path.nanousd == totals[path.name].nanousd == whole["cost", path.name]
        assert path.busy_nanousd == whole["busy", path.name]
        assert path.output_tokens == whole["output", path.name]
    assert one.savings is not None
    assert {saving.priced_as: saving.elsewhere_nanousd for saving in one.savings.against} == {
        path: whole["alone", path] for path in ("cmi", "base")
    }
    for saving in one.savings.pairs:
        assert saving.elsewhere_nanousd == whole["elsewhere", saving.served_by, saving.priced_as]
    box, cmi, _ = one.paths
    assert box.speeds.busy_seconds == 120
    assert (cmi.windows, sum(windows.calls for windows in one.windows)) == (2, 3)
    assert one.not_accrued[0].seconds == 2000 - (3 * 55 + 700)
