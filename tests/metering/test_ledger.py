"""The ledger: what was put is in the file, once, even when the process is killed."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gateway.metering.ledger import ROWS_AT_ONCE, Ledger, LedgerError, books, reading
from gateway.metering.records import AccrualRecord, Attempt, OperationRecord, WindowRecord


def attempt(number: int, **changed: object) -> Attempt:
    values: dict[str, object] = {
        "operation_id": "op", "number": number, "backend": "base", "model": "m", "started_at": 1000.0 + number,
        "outcome": "ok", "status": 200, "input_tokens": 100, "output_tokens": 20, "certainty": "exact",
        "nanousd": 26_400, "ttft_seconds": 0.2, "seconds": 1.0, "generation": None,
    }  # fmt: skip
    return Attempt(**(values | changed))  # type: ignore[arg-type]


def test_totals_add_charges_windows_and_accrued_time(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite3")
    ledger.put(attempt(1))
    ledger.put(attempt(2, certainty="estimated", outcome="cancelled"))
    ledger.put(attempt(3, backend="odd", nanousd=None))
    ledger.put(WindowRecord("r", "cmi", 1, 1, 1000.0, 1300.0, 571_800_000))
    ledger.put(WindowRecord("r", "cmi", 1, 2, 1300.0, 1600.0, 571_800_000))
    ledger.put(AccrualRecord("r", "box", "amortized", 1000.0, 1001.0, 76_103))
    ledger.put(AccrualRecord("r", "box", "amortized", 1000.0, 1002.0, 152_207))  # the same row, grown
    ledger.close()
    totals = {row.backend: row for row in books(ledger.path)}
    assert (totals["base"].requests, totals["base"].input_tokens, totals["base"].nanousd) == (1, 200, 52_800)
    assert totals["base"].unsure_tokens == 120
    assert (totals["odd"].unpriced_tokens, totals["odd"].nanousd) == (120, 0)
    assert (totals["cmi"].windows, totals["cmi"].nanousd) == (2, 1_143_600_000)
    assert totals["box"].nanousd == 152_207


def test_the_same_record_put_twice_counts_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite3")
    ledger.put(attempt(1))
    ledger.put(attempt(1))
    ledger.close()
    assert books(ledger.path)[0].requests == 1


def test_an_operation_keeps_all_its_fields(tmp_path: Path) -> None:
    record = OperationRecord(
        "id", "app", "tuned", "chat", True, 1.5, "ok", 200, "box", "cheapest_in_time", 1, 10, 5, "exact", 0.1, 0.9, True
    )
    ledger = Ledger(tmp_path / "l.sqlite3")
    ledger.put(record)
    ledger.close()
    with reading(ledger.path) as connection:
        row = dict(connection.execute("SELECT * FROM operations").fetchone())
    assert row == {name: getattr(record, name) for name in record.__struct_fields__}


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite3")
    ledger.close()
    assert oct(os.stat(ledger.path).st_mode & 0o777) == "0o600"


def test_a_place_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger(tmp_path / "file" / "l.sqlite3")


def test_a_locked_file_delays_records_but_loses_none(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite3", flush_seconds=0.05)
    ledger.flush()
    holder = sqlite3.connect(ledger.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    ledger.put(attempt(1))
    holder.execute("COMMIT")
    holder.close()
    ledger.close()
    assert books(ledger.path)[0].requests == 1


@pytest.mark.parametrize("bad", [{"input_tokens": 2**63}, {"model": "\ud83d"}, {"seconds": None}, {"status": object()}])
def test_a_record_that_no_file_would_take_is_said_and_holds_up_no_other(tmp_path: Path, bad: dict[str, object]) -> None:
    ledger = Ledger(tmp_path / "l.sqlite3", flush_seconds=0.01)
    ledger.put(attempt(1))
    ledger.put(attempt(2, **bad))
    ledger.put(attempt(3))
    assert (ledger.flush(), ledger.writing) == (False, False)
    assert "cannot be written" in (ledger.failure or "")
    ledger.put(attempt(4))
    assert (ledger.flush(), ledger.writing) == (True, True)
    assert ledger.lost == 1
    ledger.close()
    assert (ledger.flush(), ledger.writing) == (False, False)
    assert books(ledger.path)[0].requests == 3


def test_while_the_file_cannot_be_written_flush_says_so_and_close_tries_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite3", flush_seconds=0.01)
    with sqlite3.connect(ledger.path, isolation_level=None) as holder:
        holder.execute("ALTER TABLE attempts RENAME TO elsewhere")  # as a full disk would: an error at once
        ledger.put(attempt(1))
        assert not ledger.flush()
        assert not ledger.writing
        mend = threading.Timer(
            0.3, lambda: sqlite3.connect(ledger.path).execute("ALTER TABLE elsewhere RENAME TO attempts")
        )
        mend.start()
        ledger.close()
        mend.join()
    holder.close()
    assert ledger.lost == 0
    assert books(ledger.path)[0].requests == 1


def test_of_a_row_that_began_before_only_the_share_since_counts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite3")
    ledger.put(AccrualRecord("r", "box", "amortized", 1000.0, 1060.0, 6_001))
    ledger.put(AccrualRecord("r", "box", "amortized", 1060.0, 1070.0, 1_000))
    ledger.close()
    for since, nanousd in ((0.0, 7_001), (1000.0, 7_001), (1030.0, 4_000), (1059.0, 1_100), (1065.0, 500)):
        assert [row.nanousd for row in books(ledger.path, since)] == [nanousd], since
    assert books(ledger.path, 1070.0) == []


WRITER = """
import sys, time
from gateway.metering.ledger import Ledger
from gateway.metering.records import Attempt
ledger = Ledger(sys.argv[1], flush_seconds=0.1)
for number in range(1, 500):
    ledger.put(Attempt("op", number, "base", "m", time.time(), "ok", 200, 1, 1, "exact", 1, 0.1, 0.1))
    print(number, flush=True)
    time.sleep(0.005)
"""


def test_after_kill_9_all_but_the_last_second_is_there(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite3"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    put = 0
    began = time.monotonic()
    for line in process.stdout:
        put = int(line)
        if put >= 200:
            break
    killed_at = time.time()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert time.monotonic() - began < 60
    with reading(path) as connection:
        numbers = [n for (n,) in connection.execute("SELECT number FROM attempts ORDER BY number")]
        last = connection.execute("SELECT MAX(started_at) FROM attempts").fetchone()[0]
    assert numbers == list(range(1, len(numbers) + 1))
    assert last > killed_at - 1.0


def test_what_could_not_be_written_is_tried_again_though_nothing_else_comes(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite3", flush_seconds=0.01)
    with sqlite3.connect(ledger.path, isolation_level=None) as holder:
        holder.execute("ALTER TABLE attempts RENAME TO elsewhere")
        ledger.put(attempt(1))
        assert not ledger.flush()
        holder.execute("ALTER TABLE elsewhere RENAME TO attempts")
    holder.close()
    until = time.monotonic() + 10.0
    while not ledger.writing and time.monotonic() < until:
        time.sleep(0.02)
    assert books(ledger.path)[0].requests == 1, "nothing else was put, and nobody asked for a flush"
    ledger.close()


def test_many_records_at_once_are_written_as_one_by_one_though_one_of_them_is_refused(tmp_path: Path) -> None:
    many = [attempt(number) for number in range(1, 3 * ROWS_AT_ONCE + 6)]
    for bad in (None, attempt(9000, model="\ud83d")):
        ledger = Ledger(tmp_path / f"{bad is None}.sqlite3", flush_seconds=60.0)
        for record in many[:100] + ([] if bad is None else [bad]) + many[100:] + many[:1]:
            ledger.put(record)
        ledger.close()
        with reading(ledger.path) as connection:
            numbers = [n for (n,) in connection.execute("SELECT number FROM attempts ORDER BY number")]
        assert (numbers, ledger.lost) == ([one.number for one in many], 0 if bad is None else 1)
