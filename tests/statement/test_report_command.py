"""`crossover report`: arguments, exit codes, files, and ledgers of every age."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gateway.cli import app as whole
from gateway.metering.ledger import Ledger
from gateway.statement.cli import report
from tests.statement.ledgers import POLICY, T0, accruals, attempt, operation, report_of, round_hour

app = typer.Typer()
app.command()(report)
runner = CliRunner()
SPAN = ("--since", "2026-11-01T12:00", "--until", "2026-11-01T13:00")


def run(policy: Path, *arguments: str, ledger: Path | None = None) -> tuple[int, str, str]:
    named = [] if ledger is None else ["--ledger", str(ledger)]
    result = runner.invoke(app, ["--policy", str(policy), *named, *arguments], env={"COLUMNS": "400"})
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("terminal", "The serving table, measured"),
        ("markdown", "## In short"),
        ("csv", "# serving: The serving table, measured"),
        ("html", "<!doctype html>"),
        ("json", '"serving"'),
    ],
)
def test_each_format_is_printed_or_written(
    policy_file: Path, ledger: Path, tmp_path: Path, form: str, said: str
) -> None:
    code, out, _ = run(policy_file, *SPAN, "--format", form, ledger=ledger)
    assert (code, said in out) == (0, True)
    file = tmp_path / f"report.{form}"
    code, _, err = run(policy_file, *SPAN, "--format", form, "--out", str(file), ledger=ledger)
    if form == "csv":
        assert said in file.read_text()
    else:
        assert (code, f"wrote {file}" in err, said in file.read_text()) == (0, True, True)


def test_csv_into_a_folder_is_a_file_for_each_table(policy_file: Path, ledger: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    for _ in range(2):  # made, then written again
        assert run(policy_file, *SPAN, "--format", "csv", "--out", str(folder), ledger=ledger)[0] == 0
    names = {file.stem for file in folder.iterdir()}
    assert {"serving", "crossover", "by_key", "saved_against", "ceilings", "windows", "decision", "assumed"} <= names


def test_the_ledger_is_the_policys_unless_another_is_named(ledger: Path, tmp_path: Path) -> None:
    named = tmp_path / "named.yaml"
    named.write_text(POLICY.replace("path: ledger.sqlite3", f"path: {ledger}"))
    assert run(named, *SPAN, "--format", "json")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "yesterday"], "is no moment"),
        (["--since", "24h", "--until", "48h"], "the period is empty"),
        (["--format", "pdf"], "pdf"),
        (["--format", "html", "--out", "."], "is a folder"),
        (["--out", "no/such/folder/x.md"], "there is no folder"),
        (["--ledger", "missing.sqlite3"], "there is no ledger"),
    ],
)
def test_wrong_arguments_exit_2(
    policy_file: Path, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(policy_file, *arguments, ledger=None if "--ledger" in arguments else ledger)
    assert (code, out) == (2, "")
    assert said in " ".join(err.replace("│", " ").split())


def test_a_policy_without_a_ledger_exits_2_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.replace("ledger: {path: ledger.sqlite3}", ""))
    code, _, err = run(file)
    assert code == 2
    assert "keeps no ledger" in err


def test_a_ledger_path_that_waits_for_a_variable_exits_2(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.replace("ledger.sqlite3", '"${CROSSOVER_TEST_UNSET_LEDGER}"'))
    code, _, err = run(file)
    assert code == 2
    assert "${CROSSOVER_TEST_UNSET_LEDGER}" in err


def test_a_policy_that_is_wrong_exits_2(tmp_path: Path, ledger: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("version: 1\nbackends: {}\n")
    assert run(file, ledger=ledger)[0] == 2


def test_a_period_in_which_nothing_happened_exits_1_and_says_what_there_is(policy_file: Path, ledger: Path) -> None:
    code, out, err = run(policy_file, "--since", "2020-01-01", "--until", "2020-02-01", ledger=ledger)
    assert (code, out) == (1, "")
    assert "the ledger holds 2026-11-01T12:00:00Z to 2026-11-01T13:00:00Z" in err


@pytest.mark.parametrize("content", [b"not a database at all, and long enough to look at" * 40, b""])
def test_a_file_that_is_no_ledger_exits_1(policy_file: Path, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "other.sqlite3"
    file.write_bytes(content)
    code, out, err = run(policy_file, ledger=file)
    assert (code, out) == (1, "")
    assert str(file) in err


def test_it_reads_beside_a_gateway_that_writes(policy_file: Path, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "live.sqlite3")
    for record in round_hour():
        ledger.put(record)
    assert ledger.flush()
    code, out, _ = run(policy_file, *SPAN, "--format", "json", ledger=ledger.path)
    ledger.put(operation("after", "box"))
    assert ledger.flush()
    ledger.close()
    assert (code, ledger.lost) == (0, 0)
    assert json.loads(out)["ledger_schema_version"] == 3


def test_the_command_is_there() -> None:
    from gateway.cli import _mount

    _mount()
    result = runner.invoke(whole, ["report", "--help"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    assert "--since" in result.stdout


# -- ledgers of older versions ----------------------------------------------------------------------------------------

SECOND_VERSION = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('schema_version', '2');
CREATE TABLE operations (
  id TEXT PRIMARY KEY, key TEXT NOT NULL, alias TEXT NOT NULL, operation TEXT NOT NULL, stream INTEGER NOT NULL,
  started_at REAL NOT NULL, outcome TEXT NOT NULL, status INTEGER NOT NULL, backend TEXT, reason TEXT NOT NULL,
  attempts INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, certainty TEXT NOT NULL,
  ttft_seconds REAL, seconds REAL NOT NULL, in_time INTEGER, held_seconds REAL NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE attempts (
  operation_id TEXT NOT NULL, number INTEGER NOT NULL, backend TEXT NOT NULL, model TEXT NOT NULL,
  started_at REAL NOT NULL, outcome TEXT NOT NULL, status INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL, certainty TEXT NOT NULL, nanousd INTEGER, ttft_seconds REAL, seconds REAL NOT NULL,
  generation TEXT, PRIMARY KEY (operation_id, number)
) WITHOUT ROWID;
CREATE TABLE windows (
  run TEXT NOT NULL, backend TEXT NOT NULL, copy INTEGER NOT NULL, number INTEGER NOT NULL, opened_at REAL NOT NULL,
  ends_at REAL NOT NULL, nanousd INTEGER NOT NULL, PRIMARY KEY (run, backend, copy, number)
) WITHOUT ROWID;
CREATE TABLE accruals (
  run TEXT NOT NULL, backend TEXT NOT NULL, cost_kind TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL,
  nanousd INTEGER NOT NULL, PRIMARY KEY (run, backend, since)
) WITHOUT ROWID;
"""
OLD_ROWS = (
    ("INSERT INTO accruals VALUES ('run', 'box', 'amortized', ?, ?, 360000000)", (T0, T0 + 3600)),
    ("INSERT INTO attempts VALUES ('a', 1, 'box', 'm', ?, 'ok', 200, 10, 1000, 'exact', 0, 0.5, 10, NULL)", (T0,)),
    (
        "INSERT INTO operations VALUES ('a', 'web', 'tuned', 'chat', 1, ?, 'ok', 200, 'box', 'only_choice', 1, 10, "
        "1000, "
        "'exact', 0.5, 10, 1, 0)",
        (T0,),
    ),
    (
        "INSERT INTO operations VALUES ('b', 'web', 'tuned', 'chat', 1, ?, 'timeout', 504, NULL, 'only_choice', 1, "
        "0, 0, "
        "'missing', NULL, 10, NULL, 0)",
        (T0,),
    ),
)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.sqlite3"
    connection = sqlite3.connect(path)
    connection.executescript(SECOND_VERSION)
    for statement, values in OLD_ROWS:
        connection.execute(statement, values)
    connection.commit()
    connection.close()
    return path


def test_of_an_older_ledger_it_says_what_cannot_be_told_and_changes_nothing(policy_file: Path, old: Path) -> None:
    before = old.read_bytes()
    code, out, _ = run(policy_file, *SPAN, ledger=old)
    assert code == 0
    assert "The ledger is of schema version 2. It does not hold: dollars of the busy time" in out
    assert "savings cannot be told" in out
    assert old.read_bytes() == before


def test_of_an_older_ledger_what_can_be_told_is(old: Path) -> None:
    one = report_of(old)
    box = one.paths[0]
    assert (box.nanousd, box.busy_nanousd, box.reservation_usd_per_1m) == (360_000_000, None, 360)
    assert (one.all_judged.in_time, one.all_judged.late, one.all_judged.by_time_alone) == (1, 1, 2)
    assert one.savings is None


def test_where_the_version_was_raised_in_the_middle_of_a_period_that_is_said(policy_file: Path, old: Path) -> None:
    ledger = Ledger(old)
    for record in accruals(T0 + 3600, T0 + 3660):
        ledger.put(record)
    ledger.put(attempt("new", "box", started_at=T0 + 3600, output_tokens=10))
    ledger.close()
    code, out, _ = run(policy_file, "--since", "2026-11-01T12:00", "--until", "2026-11-01T14:00", ledger=old)
    assert code == 0
    assert "Busy time was written down only from 2026-11-01 13:00 UTC on" in out
    assert "2 requests are older than verdicts" in out
    assert report_of(old).paths[0].busy_nanousd is None
